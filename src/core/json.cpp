#include "assay/core/json.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"

namespace assay {
namespace {

constexpr size_t kMaxDepth = 128;

// Builds a value from the parser's events. nlohmann's own builder lets the last
// of repeated keys win, takes any depth, and looks through an ordered object
// from its front for each new key: seconds for a vocabulary of 50,000 tokens.
class StrictBuilder {
 public:
  explicit StrictBuilder(std::string_view where) : where_(where) {}

  Json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(Json::number_float_t value, const std::string& /*text*/) {
    return add(value);
  }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t& value) { return add(std::move(value)); }

  bool start_object(size_t /*elements*/) {
    open(Json::object());
    keys_.emplace_back();
    return true;
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      fail("json.duplicate-key",
           std::string(where_),
           "each key once",
           fmt::format("'{}' twice", name));
    }
    name_ = std::move(name);
    return true;
  }
  bool end_object() {
    keys_.pop_back();
    return end_array();
  }
  bool start_array(size_t /*elements*/) {
    open(Json::array());
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t /*position*/,
                   const std::string& /*token*/,
                   const Json::exception& error) {
    fail("json.malformed", std::string(where_), "valid JSON", error.what());
  }

 private:
  // While a child is open nothing is added to its parent, so that pointers into
  // parents stay valid.
  Json& place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return root_;
    }
    auto& parent = *open_.back();
    if (parent.is_array()) {
      return parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    }
    return parent.get_ref<Json::object_t&>()
        .emplace_back(std::move(name_), std::move(value))
        .second;
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  void open(Json value) {
    if (open_.size() >= kMaxDepth) {
      fail("json.too-deep",
           std::string(where_),
           fmt::format("at most {} levels", kMaxDepth),
           "deeper nesting");
    }
    open_.push_back(&place(std::move(value)));
  }

  std::string_view where_;
  Json root_;
  std::string name_;  ///< of the member to come
  std::vector<Json*> open_;
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  StrictBuilder builder(where);
  Json::sax_parse(text, &builder);
  return builder.take();
}

std::string to_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace assay
