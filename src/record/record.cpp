#include "assay/record/record.h"

#include <algorithm>

#include "assay/record/figures.h"

namespace assay {

project::Facts record_conditions() {
  auto conditions = machine_conditions();
  // "GPU" alone would make one series of all cards.
  for (auto& [key, value] : conditions) {
    if (key == "device" && value != "CPU") {
      value = memory_limit().device;
    }
  }
  conditions.emplace_back("assay", ASSAY_VERSION);
  return conditions;
}

RecordReport record_run(const RecordTarget& target, project::Run run) {
  if (run.conditions.empty()) {
    run.conditions = record_conditions();
  }
  run.command = target.command;
  auto recorded = project::record(target.store, std::move(run));
  return {{std::string(project::kResultsFile) + ": run " + recorded.run.id},
          std::move(recorded.findings)};
}

}  // namespace assay
