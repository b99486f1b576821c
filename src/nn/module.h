#pragma once

// Module: a node of the tree that an architecture is. It names its parameters
// and children once, where they are made; walks see the whole tree.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "assay/nn/parameter.h"

namespace assay::nn {

/** What a child or parameter is called in other formats: a path segment that
 * joins the owner's path by a dot. "" leaves the segment out; a null pointer
 * says "as in MLX"; in Hugging Face's, "/name" stands beside the root (a head
 * beside "transformer."). */
struct Names {
  const char* gguf = nullptr;
  const char* hf = nullptr;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /** Every parameter below this node, in the order of construction, with its
   * whole names. `hf_roots` are the prefixes under which Hugging Face files
   * may hold the tree ("transformer.", ""), best first. */
  std::vector<ParameterSpec> parameters(
      const std::vector<std::string>& hf_roots = {""});

 protected:
  void add(const std::string& name, Parameter& parameter, Names names = {});
  void add(const std::string& name, Module& child, Names names = {});

 private:
  struct Paths {
    std::string mlx, hf, gguf;
  };
  struct Segment {
    std::string name, hf, gguf;
  };
  static Segment segment(const std::string& name, Names names);
  void collect(const Paths& paths,
               const std::vector<std::string>& hf_roots,
               std::vector<ParameterSpec>& out);

  // Parameters and children keep one order, so that walks follow the forward
  // pass: entries_[i].child is null for a parameter.
  struct Entry {
    Segment segment;
    Parameter* parameter;
    Module* child;
  };
  std::vector<Entry> entries_;
};

}  // namespace assay::nn
