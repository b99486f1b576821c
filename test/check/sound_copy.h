#pragma once

// A sound model of test/sound in a folder of its own, to plant defects in.

#include <algorithm>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/check.h"
#include "assay/core/file.h"
#include "assay/core/platform.h"

#include "fired.h"

namespace assay::testing {

inline std::filesystem::path sound(const std::string& name) {
  return std::filesystem::path(ASSAY_TEST_DIR) / "sound" / name;
}

inline CheckReport headers(const std::filesystem::path& path) {
  CheckOptions options;
  options.headers_only = true;
  return checked(path, options);
}

inline std::string all_of(const CheckReport& report) {
  std::string text;
  for (const auto& finding : report.findings) {
    text += to_line(finding) + "\n";
  }
  return text;
}

struct SoundCopy {
  explicit SoundCopy(const std::string& name) {
    namespace fs = std::filesystem;
    static int count = 0;
    folder = fs::path(ASSAY_BUILD_DIR) / "test-models" /
             fmt::format("sound-{}-{}", platform::process_id(), ++count);
    fs::remove_all(folder);
    fs::create_directories(folder);
    path = folder / fs::path(name).filename();
    fs::copy(sound(name), path, fs::copy_options::recursive);
  }
  ~SoundCopy() { std::filesystem::remove_all(folder); }
  SoundCopy(const SoundCopy&) = delete;
  SoundCopy& operator=(const SoundCopy&) = delete;

  void set(const std::string& file,
           const std::string& field,
           const Json& value) const {
    auto json = parse_json(read_text(path / file), file);
    json[field] = value;
    write_text(path / file, to_text(json));
  }
  void erase(const std::string& file, const std::string& field) const {
    auto json = parse_json(read_text(path / file), file);
    REQUIRE(json.erase(field) == 1);
    write_text(path / file, to_text(json));
  }

  /** Python's "-Infinity", which JSON has not, made a null. */
  void rid_of_infinities(const std::string& file) const {
    auto text = read_text(path / file);
    auto at = text.find("-Infinity");
    REQUIRE(at != std::string::npos);
    write_text(path / file, text.replace(at, 9, "null"));
  }

  std::filesystem::path folder;  ///< of this copy and what lies beside it
  std::filesystem::path path;    ///< the model: a folder or a file
};

/** An error or a warning of that id is found. */
inline void names(const std::filesystem::path& path, std::string_view id) {
  auto report = headers(path);
  CAPTURE(all_of(report));
  CAPTURE(std::string(id));
  CHECK(report.verdict == Verdict::findings);
  CHECK(std::ranges::any_of(report.findings,
                            [&](const auto& one) { return one.id == id; }));
}

inline void names(const SoundCopy& copy, std::string_view id) {
  names(copy.path, id);
}

inline void is_sound(const std::filesystem::path& path) {
  auto report = headers(path);
  CAPTURE(path.string());
  CAPTURE(all_of(report));
  CHECK(report.verdict == Verdict::sound);
}

}  // namespace assay::testing
