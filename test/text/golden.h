#pragma once

// The golden tokenizers, made by tools/golden/make_tokenizer_goldens.py.

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/json.h"
#include "assay/formats/gguf.h"
#include "assay/text/tokenizer.h"

namespace golden {

constexpr const char* kKinds[] = {"gpt2",
                                  "smollm",
                                  "llama3",
                                  "qwen2",
                                  "gpt-4o",
                                  "deepseek-v3",
                                  "llama-spm",
                                  "gemma",
                                  "t5"};

inline std::filesystem::path folder(const std::string& kind) {
  return std::filesystem::path(ASSAY_TEST_DIR) / "golden/tokenizer" / kind;
}

inline assay::Tokenizer tokenizer(const std::string& kind) {
  auto path = folder(kind) / "tokenizer.json";
  return assay::Tokenizer::from_json(assay::read_text(path), path.string());
}

inline assay::GgufMetadata metadata(const std::string& kind) {
  return assay::read_gguf(folder(kind) / "tokenizer.gguf").metadata;
}

inline assay::Json cases(const std::string& kind) {
  return assay::parse_json(assay::read_text(folder(kind) / "cases.json"), kind);
}

}  // namespace golden
