#include "assay/project/page.h"

#include <algorithm>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/text.h"

namespace assay::project {
namespace {

constexpr size_t kLetters = 150;
constexpr size_t kResultTokens = 20;  // "failed     NAME  0.2 s  exit 1"

// The ranks of all items, sorted: the first n of them are the best n items.
std::vector<int> all_ranks(const Page& page) {
  std::vector<int> ranks;
  for (const auto& section : page.sections) {
    for (const auto& item : section.items) {
      ranks.push_back(item.rank);
    }
  }
  std::ranges::sort(ranks);
  return ranks;
}

FittedPage render(const Page& page,
                  const std::vector<int>& ranks,
                  size_t keep) {
  FittedPage fitted;
  // Of items of the last rank that has room, the first ones.
  int last = keep == 0 ? -1 : ranks[keep - 1];
  auto of_last = static_cast<size_t>(
      keep - (std::ranges::lower_bound(ranks, last) - ranks.begin()));
  fitted.text = page.head + "\n";
  for (const auto& section : page.sections) {
    fitted.text += fmt::format("\n## {}{}{}\n",
                               section.title,
                               section.summary.empty() ? "" : ": ",
                               section.summary);
    auto& kept = fitted.kept.emplace_back();
    for (const auto& item : section.items) {
      bool fits = item.rank < last;
      if (item.rank == last && of_last > 0) {
        --of_last;
        fits = true;
      }
      if (fits) {
        fitted.text += fmt::format("- {}\n", clip(item.text, kLetters));
        kept.push_back(item);
      }
    }
    if (auto left = section.items.size() - kept.size(); left > 0) {
      fitted.text += fmt::format("- ... {} more: {}\n", left, section.more);
    }
  }
  fitted.tokens = estimate_tokens(fitted.text);
  return fitted;
}

bool fits(const FittedPage& page, const PageLimit& limit) {
  auto lines = static_cast<size_t>(std::ranges::count(page.text, '\n'));
  return page.tokens <= limit.tokens &&
         (limit.lines == 0 || lines <= limit.lines);
}

// No page of more items fits: each takes a line and a token.
size_t most_items(const PageLimit& limit) {
  return limit.lines == 0 ? limit.tokens : std::min(limit.tokens, limit.lines);
}

}  // namespace

FittedPage fit_page(const Page& page, const PageLimit& given) {
  auto limit = given;
  auto reserved =
      given.diagnostics ? page.quick_diagnostics * kResultTokens : 0;
  limit.tokens -= std::min(limit.tokens, reserved);
  auto ranks = all_ranks(page);
  auto low = static_cast<size_t>(std::ranges::upper_bound(ranks, kEssential) -
                                 ranks.begin());
  auto best = render(page, ranks, low);
  if (best.tokens > limit.tokens) {
    fail("session.budget",
         "--budget",
         fmt::format("at least {} tokens", best.tokens + reserved),
         fmt::format("{}", given.tokens));
  }
  // More items need more room, but for the line that counts the rest: all of
  // them are tried apart.
  auto most = most_items(limit);
  size_t high = std::max(low, std::min(ranks.size(), most));
  while (low < high) {
    auto middle = (low + high + 1) / 2;
    auto page_now = render(page, ranks, middle);
    if (fits(page_now, limit)) {
      low = middle;
      best = std::move(page_now);
    } else {
      high = middle - 1;
    }
  }
  if (low < ranks.size() && ranks.size() <= most) {
    auto page_now = render(page, ranks, ranks.size());
    if (fits(page_now, limit)) {
      best = std::move(page_now);
    }
  }
  return best;
}

Json to_json(const Page& page, const FittedPage& fitted) {
  auto sections = Json::array();
  for (size_t index = 0; index < page.sections.size(); ++index) {
    const auto& section = page.sections[index];
    auto items = Json::array();
    for (const auto& item : fitted.kept[index]) {
      Json entry = {{"kind", item.kind}, {"text", item.text}};
      if (item.facts.is_object()) {
        entry.update(item.facts);
      }
      items.push_back(std::move(entry));
    }
    sections.push_back(
        {{"title", section.title},
         {"summary", section.summary},
         {"items", std::move(items)},
         {"left_out", section.items.size() - fitted.kept[index].size()},
         {"more", section.more}});
  }
  return {{"head", page.head},
          {"sections", std::move(sections)},
          {"tokens", fitted.tokens}};
}

}  // namespace assay::project
