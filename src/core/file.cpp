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
    : path_(std::move(path)),
      partial_(partial_path(path_)),
      flushed_(!is_partial(path_.parent_path())) {
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
  write_at(skip(bytes.size()), bytes);
}

uint64_t AtomicFile::skip(uint64_t bytes) {
  return std::exchange(end_, end_ + bytes);
}

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  if (!platform::write_at(descriptor_, offset, bytes.data(), bytes.size())) {
    fail_write(partial_);
  }
  // The disk begins while more comes, so that commit() waits for less. Not for
  // each write: many are small.
  constexpr uint64_t kEnough = uint64_t{4} << 20;
  if (flushed_ && (offset + bytes.size()) % kEnough < bytes.size()) {
    platform::begin_sync(descriptor_);
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
  int descriptor = std::exchange(descriptor_, -1);
  if (!(flushed_ ? platform::sync_and_close(descriptor)
                 : platform::close_file(descriptor))) {
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
  if (flushed_ && !platform::sync_folder(path_.parent_path())) {
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

void AtomicFolder::flush() const {
  for (const auto& entry : fs::recursive_directory_iterator(partial_)) {
    const auto status = entry.symlink_status();
    if ((fs::is_directory(status) && !platform::sync_folder(entry.path())) ||
        (fs::is_regular_file(status) && !platform::sync_file(entry.path()))) {
      fail_write(entry.path());
    }
  }
  if (!platform::sync_folder(partial_)) {
    fail_write(partial_);
  }
}

void AtomicFolder::commit(Flush flush) {
  std::error_code ignored;
  bool wait = flush == Flush::always || fs::exists(path_, ignored);
  if (wait) {
    this->flush();
  }
  platform::replace_folder(partial_, path_);
  committed_ = true;
  if (wait && !platform::sync_folder(path_.parent_path())) {
    fail_write(path_);
  }
}

}  // namespace assay
