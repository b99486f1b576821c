#pragma once

// The one place that knows the operating system: memory, processor, terminal,
// file mapping. Each function has a Linux and a macOS body in platform.cpp.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace assay {

struct MachineInfo {
  std::string system;        ///< "Linux 6.1" or "macOS 14.5"
  std::string processor;     ///< brand string
  int physical_cores = 1;    ///< usable by this process
  int logical_cores = 1;     ///< usable by this process
  uint64_t memory = 0;       ///< bytes of RAM (or the cgroup limit, if lower)
  uint64_t memory_free = 0;  ///< bytes that can be had without swapping
};

MachineInfo machine_info();

/** Largest resident set of this process so far, in bytes. */
uint64_t peak_resident_bytes();
/** Resident set of this process now, in bytes. */
uint64_t resident_bytes();

/** Columns of the terminal on standard output, or 80. */
int terminal_width();
/** True if the descriptor (1: standard output, 2: standard error) is a
 * terminal. */
bool is_terminal(int descriptor);
/** True where colour is welcome: a terminal, no NO_COLOR, TERM not dumb. */
bool use_color(int descriptor);

namespace platform {

struct Mapping {
  const std::byte* data = nullptr;
  size_t size = 0;
};

/** Maps a whole file read-only. Throws Error file.unreadable. */
Mapping map_file(const std::filesystem::path& path);
void unmap_file(Mapping mapping);
/** Gives the pages of [offset, offset + length) back to the system. */
void release_pages(Mapping mapping, uint64_t offset, uint64_t length);
/** Asks for large pages under memory that was not touched yet. Advice only;
 * nothing on macOS, whose pages are large as they are. */
void prefer_large_pages(void* data, size_t size);

/** Opens for writing, exclusively new. Throws Error file.unwritable. */
int create_file(const std::filesystem::path& path);
/** Writes all at `offset`; false with errno set on failure. From several
 * threads. */
bool write_at(int descriptor,
              uint64_t offset,
              const std::byte* data,
              size_t size);
/** The disk may begin with what was written. Waits for nothing, and tells
 * nothing: sync_and_close() does. */
void begin_sync(int descriptor);
/** Flushes to the disk and closes; false with errno set on failure. */
bool sync_and_close(int descriptor);
/** False with errno set where an earlier write turns out to have failed. */
bool close_file(int descriptor);
/** Flushes what lies in a file. False with errno set on failure. */
bool sync_file(const std::filesystem::path& path);
int process_id();
/** Swaps or moves a folder into place; see AtomicFolder::commit. */
void replace_folder(const std::filesystem::path& from,
                    const std::filesystem::path& to);

}  // namespace platform
}  // namespace assay
