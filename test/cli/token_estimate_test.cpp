// The budget of `session start` against a real tokenizer: SmolLM2's.

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/formats/model_files.h"
#include "assay/project/text.h"
#include "assay/text/tokenizer.h"

using namespace assay;
namespace fs = std::filesystem;

TEST_CASE("tokens are estimated from above, and not by much") {
  if (!fs::exists(ASSAY_MODEL)) {
    MESSAGE("no model at " << ASSAY_MODEL << ": nothing checked");
    return;
  }
  auto tokenizer = load_tokenizer(open_model(ASSAY_MODEL));
  auto root = fs::path(ASSAY_TEST_DIR).parent_path();
  for (const auto* name : {"README.md",
                           "TODO.md",
                           "reference/LEARNINGS.md",
                           "reference/DIAGNOSTICS.md",
                           "reference/RESULTS.md",
                           "test/cli/project_day.txt",
                           "src/project/text.cpp"}) {
    CAPTURE(name);
    auto text = read_text(root / name);
    auto count = static_cast<double>(tokenizer.encode(text, false).size());
    auto estimate = static_cast<double>(project::estimate_tokens(text));
    CHECK(estimate >= count);
    CHECK(estimate <= 1.5 * count);
  }
  for (const auto* text :
       {"\xE6\xB5\x8B\xE8\xAF\x95\xE6\xA8\xA1\xE5\x9E\x8B\xEF\xBC\x8C",
        "\xD0\x9C\xD0\xBE\xD0\xB4\xD0\xB5\xD0\xBB\xD1\x8C",
        "Gr\xC3\xB6\xC3\x9F"
        "e"}) {
    CHECK(project::estimate_tokens(text) >=
          tokenizer.encode(text, false).size());
  }
}
