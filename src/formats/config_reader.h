#pragma once

// ConfigReader: fields of a config.json, by name. A field that the numbers
// depend on is required: its absence is a finding, never a default.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/json.h"

namespace assay {

class ConfigReader {
 public:
  /** `where` names the file in findings. `config` must outlive the reader. */
  ConfigReader(const Json& config, std::string where);

  /** Of several names for one field (spellings of library versions), the first
   * that is present and not null counts. Throws Error config.missing-field if
   * none is, config.invalid-value if it has another kind. */
  int64_t integer(std::initializer_list<std::string_view> names) const;
  double number(std::initializer_list<std::string_view> names) const;
  bool boolean(std::initializer_list<std::string_view> names) const;
  std::string text(std::initializer_list<std::string_view> names) const;

  /** The same for one name. `dimension` is a positive integer that fits int;
   * it is what shapes are made of. */
  int dimension(std::string_view name) const;
  int dimension(std::initializer_list<std::string_view> names) const;
  float real(std::string_view name) const;
  bool flag(std::string_view name) const;
  std::string text(std::string_view name) const;

  /** For fields whose absence (or null) has a meaning of its own. */
  std::optional<int64_t> maybe_integer(std::string_view name) const;
  std::optional<double> maybe_number(std::string_view name) const;
  std::optional<bool> maybe_boolean(std::string_view name) const;
  std::optional<std::string> maybe_text(std::string_view name) const;
  std::optional<std::vector<double>> maybe_numbers(std::string_view name) const;
  std::optional<std::vector<std::string>> maybe_texts(
      std::string_view name) const;

  /** The field, or null if it is absent or null. */
  const Json* find(std::string_view name) const;
  /** A reader of an object inside, e.g. "rope_parameters". */
  ConfigReader child(std::string_view name) const;

  const std::string& where() const { return where_; }
  const Json& json() const { return *config_; }

 private:
  struct Field;
  Field required(std::initializer_list<std::string_view> names) const;

  const Json* config_;
  std::string where_;
};

}  // namespace assay
