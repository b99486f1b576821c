// Settings of an adapter that its pairs prove: the rank, and whether
// magnitudes belong to it. The scale and the base are nowhere in the tensors.

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/adapter.h"
#include "assay/diagnose/repairs.h"

namespace assay::repair {
namespace {

constexpr auto kAdapterDocument = "adapter_config.json";
using Path = std::vector<std::string>;
using Method = AdapterModule::Method;

std::set<int64_t> ranks_of(const Adapter& adapter) {
  std::set<int64_t> ranks;
  for (const auto& module : adapter.modules) {
    if (module.method == Method::lora && module.down_rank &&
        module.down_rank == module.up_rank) {
      ranks.insert(*module.down_rank);
    }
  }
  return ranks;
}

bool has_patterns(const Json& config) {
  auto patterns = config.value("rank_pattern", Json());
  bool parameters = !config.value("target_parameters", Json()).is_null();
  return parameters || (patterns.is_object() && !patterns.empty());
}

void rank(Workbench& bench, const Adapter& adapter) {
  auto ranks = ranks_of(adapter);
  bool mlx = adapter.dialect == AdapterDialect::mlx;
  if (ranks.size() != 1 || has_patterns(adapter.config)) {
    bench.leave("adapter.rank-config",
                ranks.size() > 1
                    ? fmt::format("the pairs have ranks {}: which of them is "
                                  "the rule cannot be told",
                                  fmt::join(ranks, ", "))
                    : "ranks are set module by module");
    return;
  }
  // The scale is alpha over rank: with another rank it is another number, the
  // one that training used.
  bench.draft.set(
      kAdapterDocument,
      mlx ? Path{"lora_parameters", "rank"} : Path{"r"},
      *ranks.begin(),
      fmt::format(
          "all {} pairs have rank {}", adapter.modules.size(), *ranks.begin()));
}

void dora(Workbench& bench, const Adapter& adapter) {
  size_t pairs = 0;
  size_t with = 0;
  for (const auto& module : adapter.modules) {
    bool pair = module.method == Method::lora && module.down != nullptr;
    pairs += pair ? 1 : 0;
    with += pair && module.magnitude != nullptr ? 1 : 0;
  }
  if (pairs == 0 || (with != pairs && with != 0)) {
    bench.leave(
        "adapter.dora",
        fmt::format(
            "{} of {} pairs have magnitudes: some were lost", with, pairs));
    return;
  }
  auto why = fmt::format("{} of {} pairs have magnitudes", with, pairs);
  if (adapter.dialect == AdapterDialect::mlx) {
    bench.draft.set(kAdapterDocument,
                    Path{"fine_tune_type"},
                    with > 0 ? "dora" : "lora",
                    why);
  } else {
    bench.draft.set(kAdapterDocument, Path{"use_dora"}, with > 0, why);
  }
}

}  // namespace

void adapter_settings(Workbench& bench) {
  auto adapter = open_adapter(bench.draft.folder());
  if (!adapter.config.is_object()) {
    for (const auto* id : {"adapter.rank-config", "adapter.dora"}) {
      bench.leave(id,
                  "its settings lie inside the file of weights, which a "
                  "repair does not write to");
    }
    return;
  }
  if (bench.found("adapter.rank-config")) {
    rank(bench, adapter);
  }
  bool wrong_switch =
      std::ranges::any_of(bench.findings, [](const Finding& finding) {
        return finding.id == "adapter.dora" &&
               finding.where.ends_with(kAdapterDocument);
      });
  if (wrong_switch) {
    dora(bench, adapter);
  }
}

}  // namespace assay::repair
