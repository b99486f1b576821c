#include "assay/core/file.h"

#include <array>
#include <csignal>
#include <fstream>
#include <span>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "assay/core/claim.h"
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

TEST_CASE("room in a file is filled in any order, from several threads") {
  TemporaryFolder folder;
  AtomicFile file(folder.path / "a");
  file.write("head ");
  const auto first = file.skip(4);
  const auto second = file.skip(5);
  file.write(" tail");
  CHECK(first == 5);
  auto fill = [&file](uint64_t at, std::string_view text) {
    file.write_at(at, std::as_bytes(std::span(text.data(), text.size())));
  };
  std::thread other([&] { fill(second, "world"); });
  fill(first, "new ");
  other.join();
  file.commit();
  CHECK(read_text(folder.path / "a") == "head new world tail");
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

TEST_CASE("a folder is put in place whether or not it waits for the disk") {
  for (auto flush : {Flush::always, Flush::when_replacing}) {
    for (bool earlier : {false, true}) {
      CAPTURE(earlier);
      TemporaryFolder folder;
      auto target = folder.path / "model";
      if (earlier) {
        fs::create_directory(target);
        write_text(target / "old", "old");
      }
      AtomicFolder result(target, earlier);
      fs::create_directory(result.partial() / "inner");
      write_text(result.partial() / "inner/new", "new");
      fs::create_symlink("inner/new", result.partial() / "link");
      result.commit(flush);
      CHECK(count_entries(folder.path) == 1);
      CHECK(!fs::exists(target / "old"));
      CHECK(read_text(target / "link") == "new");
    }
  }
}

TEST_CASE("what a killed job left goes with the next one, a living one's not") {
  TemporaryFolder folder;
  auto target = folder.path / "model";
  std::array<int, 2> ready{};
  REQUIRE(pipe(ready.data()) == 0);
  pid_t child = fork();
  if (child == 0) {
    AtomicFolder result(target, false);
    Claim claim(result.partial());
    write_text(result.partial() / "half", "half");
    bool told = write(ready[1], "x", 1) == 1;
    pause();
    _exit(told ? 0 : 1);
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  auto left = fs::path(target.string() + ".partial-" + std::to_string(child));
  {
    AtomicFolder other(target, false);
    CHECK(Claim(other.partial()).findings().empty());
    CHECK(fs::exists(left / "half"));
  }
  kill(child, SIGKILL);
  // Ended, but not waited for: it still has its number.
  siginfo_t ended{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) ==
          0);
  close(ready[0]);
  close(ready[1]);
  CHECK(fs::exists(left / "half"));
  // Names that only begin alike, and files, are somebody else's.
  fs::create_directory(target.string() + ".partial-12x");
  write_text(target.string() + ".partial-12", "text");
  AtomicFolder next(target, false);
  Claim claim(next.partial());
  const auto& said = claim.findings();
  REQUIRE(said.size() == 1);
  CHECK(said[0].id == "file.leftover");
  CHECK(said[0].where == left.string());
  CHECK(!fs::exists(left));
  CHECK(count_entries(folder.path) == 3);
  next.commit();
  CHECK(count_entries(folder.path) == 3);
  waitpid(child, nullptr, 0);
}

TEST_CASE("reading text is bounded") {
  TemporaryFolder folder;
  write_text(folder.path / "a", "12345");
  CHECK_THROWS_AS(read_text(folder.path / "a", 4), Error);
}
