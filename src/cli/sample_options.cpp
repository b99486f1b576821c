#include "assay/cli/sample_options.h"

#include <charconv>

#include <fmt/format.h>

#include "assay/core/file.h"

namespace assay::cli {
namespace {

// "1,2,3" or "1 2 3".
std::vector<int32_t> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    if (*at == ',' || *at == ' ') {
      ++at;
      continue;
    }
    int32_t id = 0;
    auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0) {
      throw UsageError(fmt::format("--tokens: '{}' is no list of ids", text));
    }
    ids.push_back(id);
    at = next;
  }
  return ids;
}

}  // namespace

std::vector<Option> sample_option_table(std::string_view fallback) {
  using enum OptionKind;
  return {{.name = "--text",
           .kind = text,
           .value = "TEXT",
           .help = "measured on this instead of the built-in text"},
          {.name = "--file",
           .kind = path,
           .value = "FILE",
           .help = "measured on the text of this file"},
          {.name = "--tokens",
           .kind = text,
           .value = "IDS",
           .help = "measured on these ids (1,2,3)"},
          {.name = "--max-tokens",
           .kind = integer,
           .value = "N",
           .help = "of the text, the first N tokens; 0: all",
           .fallback = fallback}};
}

SampleOptions sample_options(const Arguments& arguments) {
  SampleOptions sample;
  int given = 0;
  if (auto text = arguments.maybe_text("--text")) {
    sample.text = *text;
    ++given;
  }
  if (auto file = arguments.maybe_text("--file")) {
    sample.text = read_text(*file);
    ++given;
  }
  if (auto ids = arguments.maybe_text("--tokens")) {
    sample.ids = parse_ids(*ids);
    ++given;
  }
  if (given > 1) {
    throw UsageError("one of --text, --file and --tokens, not several");
  }
  sample.max_tokens = static_cast<size_t>(arguments.dimension("--max-tokens"));
  return sample;
}

}  // namespace assay::cli
