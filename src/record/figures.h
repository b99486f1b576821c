#pragma once

// Internal to the room: a run into the ledger.

#include "assay/project/results.h"
#include "assay/record/record.h"

namespace assay {

/** Adds command and, where there are none, the machine's conditions. */
RecordReport record_run(const RecordTarget& target, project::Run run);

}  // namespace assay
