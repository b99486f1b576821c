#pragma once

// Files: read-only maps, bounded reads, and results that are written beside
// their destination and renamed, so that nothing half-written looks finished.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace assay {

/** A read-only memory map of a whole file. Movable; unmapped on destruction.
 * Throws Error file.unreadable. An empty file maps to an empty span. */
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(data_), size_};
  }
  uint64_t size() const { return size_; }

  /** Tells the system that these bytes will not be needed again soon, so
   * that streaming through a large file keeps the resident set small. */
  void release(uint64_t offset, uint64_t length) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/** The whole file as text. Throws Error file.unreadable, or file.too-large
 * above `limit` bytes. */
std::string read_text(const std::filesystem::path& path,
                      uint64_t limit = 256u << 20);

/** A file written as `path` + ".partial-<pid>" and renamed to `path` by
 * commit(), after its bytes reached the disk; in an AtomicFolder that is being
 * filled that waits for the folder's own. Removed if never committed. */
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /** Appends. Throws Error file.unwritable (disk full and the like). */
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /** Leaves room for `bytes` where write() would go on; returns its offset. */
  uint64_t skip(uint64_t bytes);
  /** Fills room that was left. From several threads. */
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  void commit();

 private:
  std::filesystem::path path_, partial_;
  int descriptor_ = -1;
  bool flushed_ = true;  ///< by commit()
  uint64_t end_ = 0;     ///< where write() goes on
};

/** Writes a small file atomically. */
void write_text(const std::filesystem::path& path, std::string_view text);

/** When a result waits until a loss of power would not harm it. */
enum class Flush : uint8_t { always, when_replacing };

/** A folder filled at `path` + ".partial-<pid>" and put in place by commit().
 * An earlier folder at `path` stays untouched until then, and is replaced
 * only when `replace` was set; otherwise Error file.exists, at once. Removed
 * if never committed. */
class AtomicFolder {
 public:
  AtomicFolder(std::filesystem::path path, bool replace);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /** Where to write meanwhile. */
  const std::filesystem::path& partial() const { return partial_; }
  /** After all that was written reached the disk; with `when_replacing` only
   * if an earlier folder goes: else as `cp`, for what can be made again. */
  void commit(Flush flush = Flush::always);

 private:
  void flush() const;
  std::filesystem::path path_, partial_;
  bool committed_ = false;
};

}  // namespace assay
