#pragma once

// A profile: what a model is without its weights. Configs, templates, tensor
// names with types and shapes, and for a tokenizer its parts, long ones as
// hashes. Small enough to keep beside a project and to compare with.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/dtype.h"
#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/shape.h"

namespace assay {

struct ProfileTensor {
  DType dtype = DType::f32;
  Shape shape;
  /** PyTorch's files keep every name of one storage, as of tied weights;
   * safetensors have one of them. The first of the names, in their order. */
  std::string same_as = {};
  bool operator==(const ProfileTensor&) const = default;
};

struct Profile {
  std::string source;  ///< the path it was made from
  /** "safetensors", "PyTorch", "gguf"; empty without weights. */
  std::string container;
  /** By path below the model: "config.json", "vae/config.json"... */
  std::map<std::string, Json> documents;
  /** By path: "tokenizer.json", "tokenizer_2/tokenizer.json". */
  std::map<std::string, Json> tokenizers;
  /** By folder below the model: "", "unet/"...; then by name. */
  std::map<std::string, std::map<std::string, ProfileTensor>> tensors;
  std::string chat_template;
  /** What could not be read; not part of what is stored. */
  std::vector<Finding> findings;
};

/** Of a model folder or a file of weights. Throws Error
 * file.unreadable when there is nothing; what is wrong with one file goes to
 * `findings`. */
Profile profile_of(const std::filesystem::path& path);

/** A stored profile (a .json file), or that of a model. Throws Error
 * profile.malformed, json.*, file.*. */
Profile open_profile(const std::filesystem::path& path);

Json to_json(const Profile& profile);
Profile profile_from_json(const Json& json, const std::string& where);

/** The parts of a tokenizer.json: type and settings as they are, vocabulary
 * and merges as a count and a hash that does not depend on their spelling.
 * Throws Error tokenizer.malformed. */
Json tokenizer_facts(std::string_view text, const std::string& where);

}  // namespace assay
