// Pipelines and components: sizes that tensors show, and entries of the index
// that the folders show.

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/pipeline.h"
#include "assay/diagnose/repairs.h"
#include "assay/formats/model_kind.h"

namespace assay::repair {
namespace fs = std::filesystem;

namespace {

constexpr auto kIndex = "model_index.json";
using Path = std::vector<std::string>;

rules::Pipeline open(const Draft& draft) {
  return kind_of(draft.folder()) == ModelKind::pipeline
             ? rules::open_pipeline(draft.folder())
             : rules::open_component(draft.folder());
}

/** How many sizes of a class the tensors show, and how many of these are as
 * the config says. */
struct Evidence {
  size_t shown = 0;
  size_t agreeing = 0;
};

Evidence evidence(const rules::Component& component, std::string_view name) {
  Evidence found;
  for (const auto& size : rules::shown_sizes(component, name)) {
    if (size.says && size.shows && *size.shows > 0) {
      ++found.shown;
      found.agreeing += *size.says == *size.shows ? 1 : 0;
    }
  }
  return found;
}

}  // namespace

void component_sizes(Workbench& bench) {
  auto pipeline = open(bench.draft);
  for (const auto& component : pipeline.components) {
    auto own = rules::class_in_config(component.config);
    bool named = own.empty() || own == component.class_name;
    for (const auto& size :
         rules::shown_sizes(component, component.class_name)) {
      if (!size.says || !size.shows || *size.says == *size.shows) {
        continue;
      }
      if (!size.settable || !named || *size.shows <= 0) {
        bench.leave("component.shape-mismatch",
                    named ? "a list of another length: what its entries "
                            "should be is not stored"
                          : "the component's class is in doubt");
        continue;
      }
      Path path = {std::string(size.field)};
      if (size.entry) {
        path.push_back(*size.entry);
      }
      bench.draft.set(
          component.config_path.lexically_relative(bench.draft.folder()),
          path,
          *size.shows,
          fmt::format("{}: {} shows {}", size.field, size.tensor, *size.shows));
    }
  }
}

void component_entries(Workbench& bench) {
  if (!bench.draft.exists(kIndex)) {
    return;
  }
  auto pipeline = rules::open_pipeline(bench.draft.folder());
  for (auto name : rules::needed_components(pipeline.class_name)) {
    if (pipeline.find(name) != nullptr) {
      continue;
    }
    auto folder = bench.draft.folder() / name;
    std::error_code error;
    std::string class_name;
    bool of_diffusers = true;
    if (fs::is_directory(folder, error)) {
      auto opened = rules::open_component(folder);
      class_name = opened.class_name;
      of_diffusers = opened.components.front().config.is_object() &&
                     opened.components.front().config.contains("_class_name");
    }
    if (class_name.empty()) {
      bench.leave(
          "pipeline.component-absent",
          fmt::format("there is no folder {} that names its class", name));
      continue;
    }
    bench.draft.set(
        kIndex,
        Path{std::string(name)},
        Json::array({of_diffusers ? "diffusers" : "transformers", class_name}),
        fmt::format("{} holds a {}", name, class_name));
  }
}

// The index and the component's own config name two classes; only the tensors
// can tell.
void component_classes(Workbench& bench) {
  if (!bench.draft.exists(kIndex)) {
    return;
  }
  auto pipeline = rules::open_pipeline(bench.draft.folder());
  auto index = bench.draft.json(kIndex);
  for (const auto& component : pipeline.components) {
    auto own = rules::class_in_config(component.config);
    if (own.empty() || own == component.class_name) {
      continue;
    }
    auto by_index = evidence(component, component.class_name);
    auto by_own = evidence(component, own);
    bool index_fits = by_index.agreeing > by_own.agreeing &&
                      by_index.agreeing == by_index.shown;
    bool own_fits =
        by_own.agreeing > by_index.agreeing && by_own.agreeing == by_own.shown;
    auto why = [](std::string_view name, const Evidence& found) {
      return fmt::format("{} sizes of {} are as stored", found.agreeing, name);
    };
    if (own_fits) {
      bench.draft.set(kIndex, Path{component.name, "1"}, own, why(own, by_own));
    } else if (index_fits && component.config.contains("_class_name")) {
      bench.draft.set(
          component.config_path.lexically_relative(bench.draft.folder()),
          Path{"_class_name"},
          component.class_name,
          why(component.class_name, by_index));
    } else {
      bench.leave(
          "component.class-mismatch",
          fmt::format(
              "the tensors do not tell {} from {}", component.class_name, own));
    }
  }
}

}  // namespace assay::repair
