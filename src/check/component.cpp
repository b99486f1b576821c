#include <algorithm>
#include <iterator>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/check/document_fields.h"
#include "assay/check/pipeline.h"
#include "assay/formats/quote.h"

namespace assay {

// A component has no module tree, so by headers alone; a scheduler has nothing
// else.
void check_component(Checkup& checkup) {
  std::optional<rules::Pipeline> opened;
  checkup.step("component", [&](CheckStep& step) {
    opened.emplace(rules::open_component(checkup.path()));
    const auto& component = opened->components.front();
    checkup.name_architecture(component.class_name);
    auto findings = opened->findings;
    if (component.class_name.empty()) {
      findings.push_back(make_finding(
          "component.no-class",
          component.config_path.string() + ": _class_name",
          "the class that it is",
          component.config.is_object() ? "none"
                                       : component.config.type_name()));
    }
    step.detail = component.name == "scheduler"
                      ? quote(component.class_name)
                      : fmt::format("{}, {} tensors",
                                    quote(component.class_name),
                                    component.tensors.size());
    return findings;
  });
  if (!opened) {
    return;
  }
  if (rules::has_unread_weights(*opened)) {
    checkup.leave_undecided();
  }
  const auto& component = opened->components.front();
  if (component.name == "scheduler") {
    checkup.step("schedule",
                 [&](CheckStep&) { return rules::schedule_values(component); });
    checkup.step("settings",
                 [&](CheckStep&) { return rules::lone_schedule(component); });
    return;
  }
  checkup.step("shapes", [&](CheckStep&) {
    auto findings = rules::component_configs(opened->components);
    rules::add_fields(
        findings,
        rules::folder_fields(component.folder, "component.invalid-value"));
    return findings;
  });
  checkup.step("latents", [&](CheckStep&) {
    auto findings = rules::lone_scaling(component);
    std::ranges::move(rules::lone_settings(component),
                      std::back_inserter(findings));
    return findings;
  });
  if (!checkup.options().headers_only) {
    checkup.skip("inference", "components of pipelines have no module tree");
    checkup.leave_undecided();
  }
}

}  // namespace assay
