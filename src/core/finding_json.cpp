#include "assay/core/finding_json.h"

#include <nlohmann/json.hpp>

namespace assay {

Json to_json(const Finding& finding) {
  return {{"id", finding.id},
          {"severity", name(finding.severity)},
          {"where", finding.where},
          {"expected", finding.expected},
          {"actual", finding.actual},
          {"cause", finding.cause},
          {"remedy", finding.remedy}};
}

Json to_json(const std::vector<Finding>& findings) {
  auto list = Json::array();
  for (const auto& finding : findings) {
    list.push_back(to_json(finding));
  }
  return list;
}

}  // namespace assay
