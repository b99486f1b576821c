#include "assay/core/file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/core/platform.h"
#include "assay/core/platform_process.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

std::string partial_suffix() {
  return fmt::format(".partial-{}", platform::process_id());
}

fs::path partial_path(const fs::path& path) {
  auto clean = path.has_filename() ? path : path.parent_path();
  clean += partial_suffix();
  return clean;
}

// Whether an AtomicFolder of this process is being filled there.
bool is_partial(const fs::path& folder) {
  return folder.filename().string().ends_with(partial_suffix());
}

[[noreturn]] void fail_write(const fs::path& path) {
  fail("file.unwritable",
       path.string(),
       "a file that can be written",
       std::strerror(errno));
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) {
  auto mapping = platform::map_file(path);
  data_ = mapping.data;
  size_ = mapping.size;
}

MappedFile::~MappedFile() {
  platform::unmap_file({data_, size_});
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release(uint64_t offset, uint64_t length) const {
  platform::release_pages({data_, size_}, offset, length);
}

std::string read_text(const fs::path& path, uint64_t limit) {
  auto mapped = MappedFile(path);
  if (mapped.size() > limit) {
    fail("file.too-large",
         path.string(),
         fmt::format("at most {} bytes", limit),
         fmt::format("{} bytes", mapped.size()));
  }
  return std::string(mapped.text());
}

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), partial_(partial_path(path_)) {
  std::error_code ignored;
  fs::remove(partial_, ignored);  // of an earlier process with our id
  descriptor_ = platform::create_file(partial_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    platform::close_file(descriptor_);
    std::error_code ignored;
    fs::remove(partial_, ignored);
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (!platform::write_all(descriptor_, bytes.data(), bytes.size())) {
    fail_write(partial_);
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
  // Who may read a file is its owner's business: the new one takes that over,
  // before anybody can open it by its name.
  std::error_code error;
  auto before = fs::status(path_, error);
  if (!error && fs::is_regular_file(before)) {
    fs::permissions(partial_, before.permissions(), error);
  }
  if (!platform::sync_and_close(std::exchange(descriptor_, -1))) {
    int cause = errno;
    std::error_code ignored;
    fs::remove(partial_, ignored);
    errno = cause;
    fail_write(partial_);
  }
  fs::rename(partial_, path_, error);
  if (error) {
    std::error_code ignored;
    fs::remove(partial_, ignored);
    fail("file.unwritable",
         path_.string(),
         "a destination that can be renamed to",
         error.message());
  }
  // The names in a folder that is being filled reach the disk together.
  if (!is_partial(path_.parent_path()) &&
      !platform::sync_folder(path_.parent_path())) {
    fail_write(path_);
  }
}

void write_text(const fs::path& path, std::string_view text) {
  auto file = AtomicFile(path);
  file.write(text);
  file.commit();
}

AtomicFolder::AtomicFolder(fs::path path, bool replace)
    : path_(path.has_filename() ? std::move(path) : path.parent_path()),
      partial_(partial_path(path_)) {
  std::error_code error;
  if (fs::exists(path_, error) && !replace) {
    fail("file.exists", path_.string(), "no file or folder there", "one");
  }
  fs::remove_all(partial_, error);
  fs::create_directories(partial_, error);
  if (error) {
    fail("file.unwritable",
         partial_.string(),
         "a folder that can be made",
         error.message());
  }
}

AtomicFolder::~AtomicFolder() {
  if (!committed_) {
    std::error_code ignored;
    fs::remove_all(partial_, ignored);
  }
}

void AtomicFolder::commit() {
  if (!platform::sync_folder(partial_)) {
    fail_write(partial_);
  }
  platform::replace_folder(partial_, path_);
  committed_ = true;
  if (!platform::sync_folder(path_.parent_path())) {
    fail_write(path_);
  }
}

}  // namespace assay
