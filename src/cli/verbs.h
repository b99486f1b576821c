#pragma once

// The entries of the table of commands; each is in the file of its name.

#include "assay/cli/command.h"

namespace assay::cli {

Command inspect_command();
Command check_command();
Command fit_command();
Command convert_command();
Command quantize_command();
Command generate_command();
Command chat_command();
Command compare_command();
Command logits_command();
Command measure_command();
Command explain_command();
Command doctor_command();
Command troubleshoot_command();
Command new_check_command();
Command mcp_command();
Command task_command();
Command learn_command();
Command decide_command();
Command tool_command();
Command results_command();
Command recall_command();
Command new_command();
Command adopt_command();
Command env_command();
Command project_command();
Command session_command();

}  // namespace assay::cli
