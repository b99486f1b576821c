#include "assay/nn/module.h"

namespace assay::nn {
namespace {

std::string join(const std::string& path, const std::string& segment) {
  if (segment.empty() || path.empty()) {
    return path + segment;
  }
  return path + "." + segment;
}

// The whole names of one format: the parameter's own sources under the owner's
// path, or its name alone.
std::vector<Source> resolve(const std::vector<Source>& sources,
                            const std::string& owner,
                            const std::string& segment) {
  if (sources.empty()) {
    return {Source{{join(owner, segment)}}};
  }
  auto resolved = sources;
  for (auto& source : resolved) {
    for (auto& name : source.names) {
      name = join(owner, name);
    }
  }
  return resolved;
}

}  // namespace

std::string_view name(Role role) {
  switch (role) {
    case Role::embedding:
      return "embedding";
    case Role::attention:
      return "attention";
    case Role::mlp:
      return "mlp";
    case Role::expert:
      return "expert";
    case Role::router:
      return "router";
    case Role::norm:
      return "norm";
    case Role::head:
      return "head";
    case Role::other:
      return "other";
  }
  return "other";
}

namespace step {
Step stack() {
  return {.kind = Step::Kind::stack};
}
Step slice(int axis, int64_t start, int64_t stop, int64_t stride) {
  return {.kind = Step::Kind::slice,
          .axis = axis,
          .start = start,
          .stop = stop,
          .stride = stride};
}
Step reshape(Shape from, Shape to) {
  return {.kind = Step::Kind::reshape,
          .from = std::move(from),
          .to = std::move(to)};
}
Step swap_last() {
  return {.kind = Step::Kind::swap_last};
}
Step rope_rows(int heads) {
  return {.kind = Step::Kind::rope_rows, .count = heads};
}
Step add(float value) {
  return {.kind = Step::Kind::add, .value = value};
}
}  // namespace step

Module::Segment Module::segment(const std::string& name, Names names) {
  Segment result{name, name, name};
  if (names.hf != nullptr) {
    result.hf = names.hf;
  }
  if (names.gguf != nullptr) {
    result.gguf = names.gguf;
  }
  return result;
}

void Module::add(const std::string& name, Parameter& parameter, Names names) {
  entries_.push_back({segment(name, names), &parameter, nullptr});
}

void Module::add(const std::string& name, Module& child, Names names) {
  entries_.push_back({segment(name, names), nullptr, &child});
}

std::vector<ParameterSpec> Module::parameters(
    const std::vector<std::string>& hf_roots) {
  std::vector<ParameterSpec> out;
  collect({}, hf_roots, out);
  return out;
}

void Module::collect(const Paths& paths,
                     const std::vector<std::string>& hf_roots,
                     std::vector<ParameterSpec>& out) {
  for (auto& [segment, parameter, child] : entries_) {
    if (child != nullptr) {
      child->collect({join(paths.mlx, segment.name),
                      join(paths.hf, segment.hf),
                      join(paths.gguf, segment.gguf)},
                     hf_roots,
                     out);
      continue;
    }
    ParameterSpec spec;
    spec.name = join(paths.mlx, segment.name);
    spec.parameter = parameter;
    parameter->name = spec.name;
    for (const auto& root : hf_roots) {
      for (auto& source :
           resolve(parameter->hf_sources, paths.hf, segment.hf)) {
        for (auto& name : source.names) {
          if (name.starts_with('/')) {
            name.erase(0, 1);
          } else {
            name.insert(0, root);
          }
        }
        spec.hf.push_back(std::move(source));
      }
    }
    spec.gguf = resolve(parameter->gguf_sources, paths.gguf, segment.gguf);
    out.push_back(std::move(spec));
  }
}

}  // namespace assay::nn
