#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "assay/check/adapter.h"
#include "assay/core/file.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

// What an adapter's tensors show by themselves.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;
using Method = AdapterModule::Method;

std::string where_of_module(const Adapter& adapter,
                            const AdapterModule& module) {
  return fmt::format(
      "{}: {}", adapter.files.files.front().string(), quote(module.target));
}

void shape(Findings& findings,
           const Adapter& adapter,
           const AdapterModule& module) {
  for (const auto* tensor : {module.down, module.up}) {
    if (tensor == nullptr) {
      continue;
    }
    bool empty = std::ranges::find(tensor->shape, 0) != tensor->shape.end();
    if (tensor->shape.size() < 2 || empty) {
      findings.push_back(
          make_finding("adapter.shape",
                       fmt::format("{}: {}",
                                   adapter.files.files.front().string(),
                                   quote(tensor->name)),
                       "two dimensions or more, none of them 0",
                       to_string(tensor->shape)));
    }
  }
}

void middle(Findings& findings,
            const Adapter& adapter,
            const AdapterModule& module) {
  const auto* tensor = module.middle;
  if (tensor == nullptr || !module.up_rank || !module.down_rank) {
    return;
  }
  if (tensor->shape.size() < 2 || tensor->shape[0] != *module.up_rank ||
      tensor->shape[1] != *module.down_rank) {
    findings.push_back(make_finding(
        "adapter.rank-mismatch",
        fmt::format("{}: {}",
                    adapter.files.files.front().string(),
                    quote(tensor->name)),
        fmt::format("({}, {}, ...)", *module.up_rank, *module.down_rank),
        to_string(tensor->shape)));
  }
}

// Of the module's outputs: (out), a convolution's (1, out, 1, 1) in PEFT and
// (out, 1, 1, 1) in LyCORIS, which can also take its inputs, (1, in). An
// embedding's are one a column in PEFT, one a row in mlx-lm.
void magnitude(Findings& findings,
               const Adapter& adapter,
               const AdapterModule& module) {
  if (module.magnitude == nullptr || !module.out || !module.in) {
    return;
  }
  const auto& shape = module.magnitude->shape;
  auto count = element_count(shape);
  auto longest =
      shape.empty() ? 1 : *std::max_element(shape.begin(), shape.end());
  bool line = count && *count == static_cast<uint64_t>(longest);
  bool by_inputs = adapter.dialect == AdapterDialect::kohya &&
                   shape.size() >= 2 && shape[0] == 1 && shape[1] == *module.in;
  bool rows =
      longest == *module.in &&
      (module.embedding || module.target.find("embed") != std::string::npos ||
       module.target.ends_with("wte"));
  if (!line || !(longest == *module.out || by_inputs || rows)) {
    findings.push_back(
        make_finding("adapter.dora",
                     where_of_module(adapter, module) + ", magnitude",
                     fmt::format("{} values, one an output", *module.out),
                     to_string(shape)));
  }
}

void pair(Findings& findings,
          const Adapter& adapter,
          const AdapterModule& module) {
  if ((module.down == nullptr) != (module.up == nullptr)) {
    const auto* half = module.down != nullptr ? module.down : module.up;
    findings.push_back(make_finding("adapter.incomplete",
                                    where_of_module(adapter, module),
                                    "both factors of the pair",
                                    quote(half->name) + " alone"));
    return;
  }
  if (module.down == nullptr) {
    findings.push_back(make_finding(
        "adapter.incomplete",
        where_of_module(adapter, module),
        "both factors of the pair",
        module.alpha != nullptr ? "an alpha alone" : "none of them"));
    return;
  }
  shape(findings, adapter, module);
  if (module.down_rank && module.up_rank &&
      *module.down_rank != *module.up_rank) {
    findings.push_back(make_finding(
        "adapter.rank-mismatch",
        where_of_module(adapter, module),
        fmt::format("one rank in {} and {}",
                    to_string(module.down->shape),
                    to_string(module.up->shape)),
        fmt::format("{} and {}", *module.down_rank, *module.up_rank)));
  }
  middle(findings, adapter, module);
  magnitude(findings, adapter, module);
}

/** Two factors of one matrix: their ranks, and that both are there. */
void factors(Findings& findings,
             const Adapter& adapter,
             const AdapterModule& module,
             const std::string& a_name,
             const std::string& b_name,
             bool core) {
  const auto* a = module.part(a_name);
  const auto* b = module.part(b_name);
  if ((a == nullptr) != (b == nullptr)) {
    findings.push_back(
        make_finding("adapter.incomplete",
                     where_of_module(adapter, module),
                     "both factors of the pair",
                     quote((a != nullptr ? a : b)->name) + " alone"));
    return;
  }
  if (a == nullptr) {
    return;
  }
  for (const auto* tensor : {a, b}) {
    if (tensor->shape.size() < 2) {
      findings.push_back(make_finding("adapter.shape",
                                      quote(tensor->name),
                                      "two dimensions or more",
                                      to_string(tensor->shape)));
      return;
    }
  }
  auto rank = a->shape[core ? 0 : 1];
  if (rank != b->shape[0]) {
    findings.push_back(make_finding(
        "adapter.rank-mismatch",
        where_of_module(adapter, module),
        fmt::format("one rank in {} and {}", a_name, b_name),
        fmt::format("{} and {}", to_string(a->shape), to_string(b->shape))));
  }
}

// A convolution's core: both ranks, then the window.
void core_shape(Findings& findings,
                const Adapter& adapter,
                const AdapterModule& module,
                std::string_view name,
                const std::string& a_name,
                const std::string& b_name) {
  const auto* core = module.part(name);
  const auto* a = module.part(a_name);
  const auto* b = module.part(b_name);
  if (core == nullptr || a == nullptr || b == nullptr || a->shape.empty() ||
      b->shape.empty()) {
    return;
  }
  const auto& shape = core->shape;
  if (shape.size() < 3 || shape[0] != a->shape[0] || shape[1] != b->shape[0]) {
    findings.push_back(make_finding(
        "adapter.rank-mismatch",
        fmt::format(
            "{}: {}", adapter.files.files.front().string(), quote(core->name)),
        fmt::format("({}, {}, ...)", a->shape[0], b->shape[0]),
        to_string(shape)));
  }
}

// Both products are multiplied element by element: one size, one rank. Shapes
// as in KohakuBlueleaf/LyCORIS (lycoris/modules/loha.py and lokr.py) and
// huggingface/peft (src/peft/tuners/loha/layer.py and lokr/layer.py).
void loha(Findings& findings,
          const Adapter& adapter,
          const AdapterModule& module) {
  bool core = module.part("hada_t1") != nullptr;
  factors(findings, adapter, module, "hada_w1_a", "hada_w1_b", core);
  factors(findings, adapter, module, "hada_w2_a", "hada_w2_b", core);
  core_shape(findings, adapter, module, "hada_t1", "hada_w1_a", "hada_w1_b");
  core_shape(findings, adapter, module, "hada_t2", "hada_w2_a", "hada_w2_b");
  magnitude(findings, adapter, module);
  for (const auto* end : {"a", "b"}) {
    const auto* one = module.part(fmt::format("hada_w1_{}", end));
    const auto* two = module.part(fmt::format("hada_w2_{}", end));
    if ((one == nullptr) != (two == nullptr)) {
      findings.push_back(
          make_finding("adapter.incomplete",
                       where_of_module(adapter, module),
                       "both products",
                       quote((one != nullptr ? one : two)->name) + " alone"));
    } else if (one != nullptr && one->shape != two->shape) {
      findings.push_back(make_finding("adapter.rank-mismatch",
                                      quote(two->name),
                                      to_string(one->shape),
                                      to_string(two->shape)));
    }
  }
  if (core != (module.part("hada_t2") != nullptr)) {
    findings.push_back(make_finding("adapter.incomplete",
                                    where_of_module(adapter, module),
                                    "the cores of both products",
                                    core ? "hada_t1 alone" : "hada_t2 alone"));
  }
}

void lokr(Findings& findings,
          const Adapter& adapter,
          const AdapterModule& module) {
  factors(findings, adapter, module, "lokr_w1_a", "lokr_w1_b", false);
  factors(findings,
          adapter,
          module,
          "lokr_w2_a",
          "lokr_w2_b",
          module.part("lokr_t2") != nullptr);
  core_shape(findings, adapter, module, "lokr_t2", "lokr_w2_a", "lokr_w2_b");
  magnitude(findings, adapter, module);
  for (const auto* name : {"lokr_w1", "lokr_w2"}) {
    bool whole = module.part(name) != nullptr;
    bool parts = module.part(fmt::format("{}_a", name)) != nullptr ||
                 module.part(fmt::format("{}_b", name)) != nullptr;
    if (whole == parts) {
      findings.push_back(
          make_finding("adapter.incomplete",
                       where_of_module(adapter, module),
                       fmt::format("{}, whole or as two factors", name),
                       whole ? "both" : "neither"));
    }
  }
}

void methods(Findings& findings, const Adapter& adapter) {
  std::map<std::string_view, size_t> counts;
  for (const auto& module : adapter.modules) {
    if (module.method != Method::lora) {
      ++counts[name(module.method)];
    }
  }
  for (const auto& [method, count] : counts) {
    findings.push_back(make_finding(
        "adapter.method",
        adapter.files.files.front().string(),
        "LoRA",
        fmt::format(
            "{} on {} of {} modules", method, count, adapter.modules.size())));
  }
}

void ranks(Findings& findings, const Adapter& adapter) {
  std::map<int64_t, size_t> counts;
  for (const auto& module : adapter.modules) {
    if (module.method == Method::lora && module.down_rank) {
      ++counts[*module.down_rank];
    }
  }
  if (counts.size() < 2) {
    return;
  }
  std::string list;
  size_t shown = 0;
  for (auto [rank, count] : counts) {
    if (++shown > 6) {
      list += ", ...";
      break;
    }
    list += fmt::format("{}{} on {}", list.empty() ? "" : ", ", rank, count);
  }
  findings.push_back(make_finding("adapter.mixed-ranks",
                                  adapter.files.files.front().string(),
                                  "one rank",
                                  list));
}

void types(Findings& findings, const Adapter& adapter) {
  std::set<std::string_view> strange;
  for (const auto& module : adapter.modules) {
    for (const auto* tensor : {module.down, module.up}) {
      bool usual = tensor == nullptr || tensor->dtype == DType::f32 ||
                   tensor->dtype == DType::f16 ||
                   tensor->dtype == DType::bf16 ||
                   tensor->dtype == DType::f64 ||
                   adapter.dialect == AdapterDialect::gguf;
      if (!usual) {
        strange.insert(name(tensor->dtype));
      }
    }
  }
  for (auto dtype : strange) {
    findings.push_back(make_finding("adapter.dtype",
                                    adapter.files.files.front().string(),
                                    "F32, BF16 or F16",
                                    std::string(dtype)));
  }
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes,
                             [](std::byte one) { return one == std::byte{}; });
}

}  // namespace

std::vector<Finding> adapter_pairs(const Adapter& adapter) {
  Findings findings;
  for (const auto& module : adapter.modules) {
    switch (module.method) {
      case Method::lora:
        pair(findings, adapter, module);
        break;
      case Method::loha:
        loha(findings, adapter, module);
        break;
      case Method::lokr:
        lokr(findings, adapter, module);
        break;
      case Method::scaled:
      case Method::other:
        break;
    }
  }
  findings = shorten(std::move(findings));
  methods(findings, adapter);
  ranks(findings, adapter);
  types(findings, adapter);
  return findings;
}

std::vector<Finding> adapter_values(const Adapter& adapter) {
  TensorData data(adapter.files);
  size_t zero = 0;
  size_t all = 0;
  for (const auto& module : adapter.modules) {
    if (module.method == Method::lora && module.up != nullptr) {
      ++all;
      zero += is_zero(data.bytes(*module.up)) ? 1 : 0;
      data.release(*module.up);
    }
  }
  if (all == 0 || zero < all) {
    return {};
  }
  return {make_finding("adapter.untrained",
                       adapter.files.files.front().string(),
                       "second factors that are not zero",
                       fmt::format("all {} are zero", all))};
}

}  // namespace assay::rules
