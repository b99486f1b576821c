// Documents and ledgers as people, editors and merges leave them: an edit taken
// back gives the same bytes, passages lie in the text, and a run that was read
// is read again from the line that it gives.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "assay/core/finding.h"
#include "assay/project/blocks.h"
#include "assay/project/recall.h"
#include "assay/project/results.h"
#include "assay/project/trends.h"

#include "expect.h"

using namespace assay::project;
using assay_fuzz::expect;

namespace {

void edit_and_undo(const std::string& text) {
  Document document(text, "fuzz.md");
  for (const auto& task : document.tasks()) {
    expect(task.last >= task.line && task.last < document.lines().size(),
           "a task beyond the document");
  }
  for (const auto& passage : passages_of(document)) {
    expect(text.compare(passage.offset, passage.text.size(), passage.text) == 0,
           "a passage that is not in the text");
  }
  auto count = document.lines().size();
  try {
    write_block(document, "fuzz", {"one", "", "two"});
    auto written = document.text();
    write_block(document, "fuzz", {"other"});
    write_block(document, "fuzz", {"one", "", "two"});
    expect(document.text() == written, "a block that is renewed otherwise");
  } catch (const assay::Error&) {
    return;
  }
  // Where the text had a block of that name already, it was renewed in place.
  if (text.find("assay:fuzz") == std::string::npos) {
    document.erase(count, document.lines().size() - count);
    expect(document.text() == text, "an edit taken back is another text");
  }
}

void read_again(std::string_view text) {
  auto ledger = parse_ledger(text);
  for (const auto& run : ledger.runs) {
    auto again = parse_ledger(ledger_line(run));
    expect(again.findings.empty() && again.runs.size() == 1,
           "a run that cannot be read again");
    expect(again.runs[0].values.size() == run.values.size() &&
               again.runs[0].model == run.model,
           "a run that is read otherwise");
  }
  regressions(ledger);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto text = std::string(reinterpret_cast<const char*>(data), size);
  edit_and_undo(text);
  read_again(text);
  return 0;
}
