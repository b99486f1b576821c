#include "assay/core/file.h"

#include <fstream>

#include <doctest/doctest.h>

#include "assay/core/finding.h"
#include "assay/core/platform.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

struct TemporaryFolder {
  fs::path path = fs::temp_directory_path() /
                  ("assay-file-test-" + std::to_string(platform::process_id()));
  TemporaryFolder() { fs::create_directories(path); }
  ~TemporaryFolder() { fs::remove_all(path); }
};

size_t count_entries(const fs::path& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a mapped file shows its bytes, an empty one none") {
  TemporaryFolder folder;
  write_text(folder.path / "a", "hello");
  CHECK(MappedFile(folder.path / "a").text() == "hello");
  write_text(folder.path / "b", "");
  CHECK(MappedFile(folder.path / "b").size() == 0);
  CHECK_THROWS_AS(MappedFile(folder.path / "none"), Error);
  CHECK_THROWS_AS(MappedFile(folder.path), Error);
}

TEST_CASE("an uncommitted file leaves nothing behind") {
  TemporaryFolder folder;
  {
    AtomicFile file(folder.path / "a");
    file.write("half");
  }
  CHECK(count_entries(folder.path) == 0);
}

TEST_CASE("an uncommitted folder leaves the earlier one untouched") {
  TemporaryFolder folder;
  auto target = folder.path / "model";
  fs::create_directory(target);
  write_text(target / "old", "old");
  {
    AtomicFolder result(target, true);
    write_text(result.partial() / "new", "half");
  }
  CHECK(count_entries(folder.path) == 1);
  CHECK(fs::exists(target / "old"));
  CHECK_THROWS_AS(AtomicFolder(target, false), Error);
}

TEST_CASE("a committed folder replaces the earlier one whole") {
  TemporaryFolder folder;
  auto target = folder.path / "model/";  // a trailing slash is no trap
  fs::create_directory(target);
  write_text(target / "old", "old");
  AtomicFolder result(target, true);
  write_text(result.partial() / "new", "new");
  result.commit();
  CHECK(count_entries(folder.path) == 1);
  CHECK(!fs::exists(target / "old"));
  CHECK(read_text(target / "new") == "new");
}

TEST_CASE("reading text is bounded") {
  TemporaryFolder folder;
  write_text(folder.path / "a", "12345");
  CHECK_THROWS_AS(read_text(folder.path / "a", 4), Error);
}
