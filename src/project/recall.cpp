#include "assay/project/recall.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/project/recall_index.h"
#include "assay/project/results.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr size_t kSnippet = 160;
constexpr size_t kMost = 1000;

bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9');
}

// Something that may be a word: a letter, a digit, or anything beyond ASCII.
bool has_letters(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    return is_ascii_letter(c) || (static_cast<unsigned char>(c) & 0x80) != 0;
  });
}

// Words, and phrases in quotes that are closed.
std::vector<std::string> terms_of(std::string_view text) {
  std::vector<std::string> terms;
  auto add = [&](std::string_view term) {
    if (has_letters(term)) {
      terms.emplace_back(term);
    }
  };
  for (size_t at = 0; at < text.size();) {
    auto end = text.find('"', at + 1);
    if (text[at] == '"' && end != std::string_view::npos) {
      add(text.substr(at + 1, end - at - 1));
      at = end + 1;
      continue;
    }
    end = std::min(text.find_first_of(" \t\r\n\"", at + 1), text.size());
    add(text.substr(at, end - at));
    at = end;
  }
  return terms;
}

// Terms cut where the tokenizer would cut them: "a.b" is a phrase at first, and
// a and b for those that hold some of the words.
std::vector<std::string> pieces_of(const std::vector<std::string>& terms) {
  std::vector<std::string> pieces;
  for (const auto& term : terms) {
    if (term.find_first_of(" \t\r\n") != std::string::npos) {
      pieces.push_back(term);  // quoted: it stays a phrase
      continue;
    }
    std::string piece;
    for (char c : term + " ") {
      bool letter =
          is_ascii_letter(c) || (static_cast<unsigned char>(c) & 0x80) != 0;
      if (letter) {
        piece += c;
      } else if (!piece.empty()) {
        pieces.push_back(std::move(piece));
        piece.clear();
      }
    }
  }
  return pieces;
}

// All of it in quotes: nothing that somebody types is an operator of FTS5.
std::string query_of(const std::vector<std::string>& terms,
                     std::string_view between) {
  std::string query;
  for (const auto& term : terms) {
    std::string quoted;
    for (char c : searchable(term)) {
      quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    }
    query += fmt::format("{}\"{}\"", query.empty() ? "" : between, quoted);
  }
  return query;
}

// Where the words of the terms begin in the text, by their first letters.
struct Match {
  size_t at = 0;
  size_t term = 0;
};

std::vector<Match> matches_of(std::string_view text,
                              const std::vector<std::string>& terms) {
  std::vector<Match> matches;
  auto lower = to_lower(text);
  for (size_t term = 0; term < terms.size(); ++term) {
    auto word = to_lower(trim(terms[term]));
    // A stem is shorter than its forms.
    auto start = word.substr(0, std::max<size_t>(4, word.size() * 2 / 3));
    for (auto at = lower.find(start); at != std::string::npos;
         at = lower.find(start, at + 1)) {
      bool inside =
          at > 0 && is_ascii_letter(lower[at - 1]) && is_ascii_letter(start[0]);
      if (!inside) {
        matches.push_back({at, term});
      }
    }
  }
  std::ranges::sort(matches, std::less<>{}, &Match::at);
  return matches;
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

std::string on_one_line(std::string_view text) {
  std::string line;
  for (char c : text) {
    bool space = c == ' ' || (static_cast<unsigned char>(c) < 0x20);
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

std::string snippet_of(std::string_view text,
                       const std::vector<std::string>& terms) {
  auto matches = matches_of(text, terms);
  size_t best = 0;
  size_t most = 0;
  for (size_t first = 0; first < matches.size(); ++first) {
    std::set<size_t> distinct;
    for (size_t next = first; next < matches.size() &&
                              matches[next].at < matches[first].at + kSnippet;
         ++next) {
      distinct.insert(matches[next].term);
    }
    if (distinct.size() > most) {
      most = distinct.size();
      best = matches[first].at;
    }
  }
  auto begin = best > kSnippet / 4 ? best - kSnippet / 4 : 0;
  if (text.size() <= kSnippet * 5 / 4) {
    begin = 0;
  } else if (begin > 0) {
    auto space = text.find_first_of(" \n", begin);
    begin = space < best ? space + 1 : begin;
  }
  auto end = std::min(text.size(), begin + kSnippet * 5 / 4);
  while (begin < end && is_continuation(text[begin])) {
    ++begin;
  }
  while (end < text.size() && is_continuation(text[end])) {
    ++end;
  }
  return fmt::format("{}{}{}",
                     begin > 0 ? "... " : "",
                     on_one_line(text.substr(begin, end - begin)),
                     end < text.size() ? " ..." : "");
}

// The index may be behind, or damaged in a way that SQLite does not see.
bool stands_there(const Store& store, const IndexedPassage& found) {
  try {
    auto text = store.read(found.passage.file).value_or("");
    if (found.passage.kind == RecallKind::result) {
      return !found.key.empty() &&
             text.find(fmt::format("\"{}\"", found.key)) != std::string::npos;
    }
    return found.passage.offset <= text.size() &&
           text.compare(found.passage.offset,
                        found.passage.text.size(),
                        found.passage.text) == 0;
  } catch (const Error&) {
    return false;
  }
}

class Search {
 public:
  Search(const Store& store,
         std::vector<std::string> terms,
         const RecallOptions& options)
      : store_(store), terms_(std::move(terms)), options_(options) {
    options_.limit = std::clamp<size_t>(options.limit, 1, kMost);
  }

  /** False where what the index holds is not what the files hold. */
  bool run(const fs::path& file, Recall& result) {
    RecallIndex index(file);
    index.refresh(store_, result.findings);
    auto found = index.search(query_of(terms_, " "), options_);
    auto all_words = found.size();
    auto pieces = pieces_of(terms_);
    if (all_words < options_.limit && pieces.size() > 1) {
      add_some(index, query_of(pieces, " OR "), found);
    }
    for (size_t place = 0; place < found.size(); ++place) {
      if (!stands_there(store_, found[place])) {
        return false;
      }
      result.hits.push_back({found[place].passage,
                             snippet_of(found[place].passage.text, terms_),
                             found[place].score,
                             place < all_words});
    }
    return true;
  }

 private:
  // Passages with some of the words, after those with all.
  void add_some(RecallIndex& index,
                const std::string& query,
                std::vector<IndexedPassage>& found) {
    for (auto& other : index.search(query, options_)) {
      bool known = std::ranges::any_of(found, [&](const IndexedPassage& one) {
        return one.passage.file == other.passage.file &&
               one.passage.line == other.passage.line;
      });
      if (!known && found.size() < options_.limit) {
        found.push_back(std::move(other));
      }
    }
  }

  const Store& store_;
  std::vector<std::string> terms_;
  RecallOptions options_;
};

// Where the index lies; nothing where the project can't be written.
std::optional<fs::path> index_place(const Store& store) {
  try {
    store.notes();
    return store.resolve(kIndexFile);
  } catch (const Error&) {
    return {};
  }
}

void remove_index(const fs::path& file) {
  for (const auto* ending : {"", "-journal", "-wal", "-shm"}) {
    auto path = file;
    path += ending;
    std::error_code ignored;
    fs::remove(path, ignored);
  }
}

}  // namespace

Recall recall(const Store& store,
              std::string_view words,
              const RecallOptions& options) {
  auto terms = terms_of(words);
  if (terms.empty()) {
    fail("project.empty", "recall", "words to look for", std::string(words));
  }
  Search search(store, std::move(terms), options);
  std::string problem = "it does not hold what the files hold";
  if (auto file = index_place(store)) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      Recall result;
      if (attempt > 0) {
        remove_index(*file);
        result.findings.push_back(make_finding("recall.rebuilt",
                                               std::string(kIndexFile),
                                               "an index that can be used",
                                               problem));
      }
      try {
        if (search.run(*file, result)) {
          return result;
        }
      } catch (const SqliteFailure& failure) {
        problem = failure.what();
        if (failure.busy) {
          break;
        }
      }
    }
  }
  // Read-only, or in use by others all the time: as good, only slower.
  Recall result;
  try {
    search.run({}, result);
  } catch (const SqliteFailure& failure) {
    fail("recall.unavailable", "SQLite", "a library with FTS5", failure.what());
  }
  return result;
}

Json to_json(const RecallHit& hit) {
  return {{"kind", name(hit.passage.kind)},
          {"file", hit.passage.file},
          {"line", hit.passage.line},
          {"title", hit.passage.title},
          {"snippet", hit.snippet},
          {"all_words", hit.all_words},
          {"score", hit.score}};
}

}  // namespace assay::project
