#include "assay/core/json.h"

#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"

namespace assay {
namespace {

constexpr int kMaxDepth = 128;

// Watches the parser's events for what nlohmann accepts in silence: repeated
// keys (the last wins) and any depth.
class StrictFilter {
 public:
  explicit StrictFilter(std::string_view where) : where_(where) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= kMaxDepth) {
        fail("json.too-deep",
             std::string(where_),
             fmt::format("at most {} levels", kMaxDepth),
             "deeper nesting");
      }
      if (event == Event::object_start) {
        keys_.emplace_back();
      }
    } else if (event == Event::object_end) {
      keys_.pop_back();
    } else if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second) {
        fail("json.duplicate-key",
             std::string(where_),
             "each key once",
             fmt::format("'{}' twice", key));
      }
    }
    return true;
  }

 private:
  std::string_view where_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  auto filter = StrictFilter(where);
  try {
    return Json::parse(text, std::ref(filter));
  } catch (const Json::exception& error) {
    fail("json.malformed", std::string(where), "valid JSON", error.what());
  }
}

std::string to_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace assay
