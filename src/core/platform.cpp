#include "assay/core/platform.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <set>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#if defined(__APPLE__)
#include <mach/mach.h>
#include <sys/sysctl.h>
#else
#include <sched.h>
#include <sys/syscall.h>
#endif

#include "assay/core/finding.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail_read(const fs::path& path, const char* reason) {
  fail("file.unreadable", path.string(), "a readable file", reason);
}

#if defined(__APPLE__)

template <class T>
T sysctl_value(const char* key, T fallback) {
  T value{};
  size_t size = sizeof(value);
  return sysctlbyname(key, &value, &size, nullptr, 0) == 0 ? value : fallback;
}

std::string sysctl_text(const char* key) {
  char text[256] = {};
  size_t size = sizeof(text) - 1;
  return sysctlbyname(key, text, &size, nullptr, 0) == 0 ? text : "unknown";
}

#else

uint64_t first_number(const char* path, uint64_t fallback) {
  uint64_t value = 0;
  std::ifstream file(path);
  return file >> value ? value : fallback;
}

// "MemTotal:  24573984 kB" -> bytes
uint64_t meminfo(std::string_view key) {
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(key)) {
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) << 10;
    }
  }
  return 0;
}

std::string cpuinfo(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    auto colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

// Cores that this process may run on; hyperthreads of one core count once.
int usable_physical_cores(int logical) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) {
    return logical;
  }
  std::set<std::pair<uint64_t, uint64_t>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) {
      auto folder = fmt::format("/sys/devices/system/cpu/cpu{}/topology", cpu);
      cores.insert({first_number((folder + "/physical_package_id").c_str(), 0),
                    first_number((folder + "/core_id").c_str(),
                                 static_cast<uint64_t>(cpu))});
    }
  }
  return std::max(1, static_cast<int>(cores.size()));
}

#endif

}  // namespace

#if defined(__APPLE__)

MachineInfo machine_info() {
  MachineInfo machine;
  machine.system = "macOS " + sysctl_text("kern.osproductversion");
  machine.processor = sysctl_text("machdep.cpu.brand_string");
  machine.logical_cores = sysctl_value<int>("hw.logicalcpu", 1);
  // The efficiency cores of Apple silicon would hold back the others.
  machine.physical_cores = sysctl_value<int>(
      "hw.perflevel0.physicalcpu", sysctl_value<int>("hw.physicalcpu", 1));
  machine.memory = sysctl_value<uint64_t>("hw.memsize", 0);
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (host_statistics64(mach_host_self(),
                        HOST_VM_INFO64,
                        reinterpret_cast<host_info64_t>(&pages),
                        &count) == KERN_SUCCESS) {
    machine.memory_free = (uint64_t{pages.free_count} + pages.inactive_count +
                           pages.purgeable_count) *
                          static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }
  return machine;
}

uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss);
}

uint64_t resident_bytes() {
  mach_task_basic_info_data_t task{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  if (task_info(mach_task_self(),
                MACH_TASK_BASIC_INFO,
                reinterpret_cast<task_info_t>(&task),
                &count) != KERN_SUCCESS) {
    return 0;
  }
  return task.resident_size;
}

#else

MachineInfo machine_info() {
  MachineInfo machine;
  utsname names{};
  if (uname(&names) == 0) {
    machine.system = fmt::format("{} {}", names.sysname, names.release);
  }
  machine.processor = cpuinfo("model name");
  cpu_set_t set;
  CPU_ZERO(&set);
  machine.logical_cores =
      sched_getaffinity(0, sizeof(set), &set) == 0
          ? CPU_COUNT(&set)
          : static_cast<int>(std::thread::hardware_concurrency());
  machine.physical_cores = usable_physical_cores(machine.logical_cores);
  machine.memory = meminfo("MemTotal");
  machine.memory_free = meminfo("MemAvailable");
  // In a container the limit is the control group's ("max" reads as none).
  uint64_t limit = first_number("/sys/fs/cgroup/memory.max", machine.memory);
  if (limit < machine.memory) {
    uint64_t used = first_number("/sys/fs/cgroup/memory.current", 0);
    machine.memory = limit;
    machine.memory_free =
        std::min(machine.memory_free, limit > used ? limit - used : 0);
  }
  return machine;
}

uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) << 10;
}

uint64_t resident_bytes() {
  uint64_t total = 0;
  uint64_t resident = 0;
  std::ifstream file("/proc/self/statm");
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

#endif

int terminal_width() {
  winsize size{};
  if (ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  return 80;
}

bool is_terminal(int descriptor) {
  return isatty(descriptor) != 0;
}

bool use_color(int descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return is_terminal(descriptor) && (no_color == nullptr || !*no_color) &&
         (term == nullptr || std::string_view(term) != "dumb");
}

namespace platform {

Mapping map_file(const fs::path& path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail_read(path, std::strerror(errno));
  }
  struct stat status{};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    fail_read(path, "not a regular file");
  }
  auto size = static_cast<size_t>(status.st_size);
  if (size == 0) {
    close(descriptor);
    return {};
  }
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  int cause = errno;
  close(descriptor);
  if (data == MAP_FAILED) {
    fail_read(path, std::strerror(cause));
  }
  return {static_cast<const std::byte*>(data), size};
}

void unmap_file(Mapping mapping) {
  if (mapping.size > 0) {
    munmap(const_cast<std::byte*>(mapping.data), mapping.size);
  }
}

void release_pages(Mapping mapping, uint64_t offset, uint64_t length) {
  if (offset >= mapping.size) {
    return;
  }
  auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t begin = (offset + page - 1) / page * page;
  uint64_t end = (offset + std::min<uint64_t>(length, mapping.size - offset)) /
                 page * page;
  if (begin < end) {
    // Advice only: a failure costs memory, not correctness.
    madvise(const_cast<std::byte*>(mapping.data) + begin,
            end - begin,
            MADV_DONTNEED);
  }
}

void prefer_large_pages(void* data, size_t size) {
#ifdef MADV_HUGEPAGE
  auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  size_t before = (page - reinterpret_cast<uintptr_t>(data) % page) % page;
  if (before < size) {
    madvise(static_cast<std::byte*>(data) + before,
            (size - before) / page * page,
            MADV_HUGEPAGE);
  }
#else
  static_cast<void>(data);
  static_cast<void>(size);
#endif
}

int create_file(const fs::path& path) {
  int descriptor =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    fail("file.unwritable",
         path.string(),
         "a file that can be made",
         std::strerror(errno));
  }
  return descriptor;
}

bool write_at(int descriptor,
              uint64_t offset,
              const std::byte* data,
              size_t size) {
  while (size > 0) {
    // Darwin refuses a single write of 2 GiB or more.
    ssize_t written = pwrite(descriptor,
                             data,
                             std::min<size_t>(size, 1 << 30),
                             static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return false;
    }
    data += written;
    offset += static_cast<uint64_t>(written);
    size -= static_cast<size_t>(written);
  }
  return true;
}

void begin_sync([[maybe_unused]] int descriptor) {
#if defined(__linux__)
  sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
}

bool sync_and_close(int descriptor) {
  bool synced = fsync(descriptor) == 0;
  int cause = errno;
  bool closed = close(descriptor) == 0;
  if (!synced) {
    errno = cause;
  }
  return synced && closed;
}

bool close_file(int descriptor) {
  return close(descriptor) == 0;
}

bool sync_file(const fs::path& path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  return descriptor >= 0 && sync_and_close(descriptor);
}

int process_id() {
  return static_cast<int>(getpid());
}

void replace_folder(const fs::path& from, const fs::path& to) {
  auto check = [&to](bool done) {
    if (!done) {
      fail("file.unwritable",
           to.string(),
           "a folder that can be put in place",
           std::strerror(errno));
    }
  };
  if (!fs::exists(to)) {
    check(std::rename(from.c_str(), to.c_str()) == 0);
    return;
  }
  // One atomic exchange where the system has it: there is no moment at which
  // neither folder stands at `to`.
#if defined(__APPLE__)
  bool swapped = renamex_np(from.c_str(), to.c_str(), RENAME_SWAP) == 0;
#else
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE
  bool swapped = syscall(SYS_renameat2,
                         AT_FDCWD,
                         from.c_str(),
                         AT_FDCWD,
                         to.c_str(),
                         kExchange) == 0;
#endif
  if (swapped) {
    fs::remove_all(from);
    return;
  }
  auto aside = from;
  aside += ".old";
  check(std::rename(to.c_str(), aside.c_str()) == 0);
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    int cause = errno;
    check(std::rename(aside.c_str(), to.c_str()) == 0);
    errno = cause;
    check(false);
  }
  fs::remove_all(aside);
}

}  // namespace platform
}  // namespace assay
