#include <array>

#include "assay/cli/verbs.h"

namespace assay::cli {

std::span<const Command> commands() {
  static const std::array list = {
      inspect_command(),   check_command(),    troubleshoot_command(),
      new_check_command(), fit_command(),      convert_command(),
      quantize_command(),  generate_command(), chat_command(),
      compare_command(),   logits_command(),   measure_command(),
      explain_command(),   doctor_command(),   new_command(),
      adopt_command(),     env_command(),      project_command(),
      session_command(),   task_command(),     learn_command(),
      decide_command(),    tool_command(),     results_command(),
      recall_command(),    mcp_command()};
  return list;
}

std::span<const Option> common_options() {
  static constexpr std::array kOptions = {
      Option{.name = "--json", .help = "the answer as JSON"},
      Option{.name = "--quiet",
             .help = "no progress and no remarks",
             .short_name = "-q"},
      Option{.name = "--threads",
             .kind = OptionKind::integer,
             .value = "N",
             .help = "threads of the CPU kernels; 0: one a physical core",
             .fallback = "0"},
      Option{.name = "--float32",
             .help = "the CPU's products in float32 throughout; activations "
                     "are 16-bit integers otherwise, where weights are 2, 4 "
                     "or 8 bits wide"},
      Option{.name = "--int8",
             .help =
                 "activations that meet 4-bit weights one or a few rows at "
                 "a time are 8-bit integers on x86: faster and less exact"}};
  return kOptions;
}

}  // namespace assay::cli
