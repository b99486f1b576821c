#include "assay/core/platform_folder.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/file.h>
#include <unistd.h>

namespace assay::platform {
namespace fs = std::filesystem;

int lock_folder(const fs::path& path) {
  int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    return -1;
  }
  return descriptor;
}

void unlock_folder(int descriptor) {
  if (descriptor >= 0) {
    close(descriptor);
  }
}

bool process_lives(int process) {
  if (kill(process, 0) != 0 && errno == ESRCH) {
    return false;
  }
#if defined(__linux__)
  // Where nobody waits for it (a container whose first process is no init), one
  // that ended keeps its number: "4711 (assay) Z ...".
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(file, line);
  auto name_end = line.rfind(')');
  bool stated = name_end != std::string::npos && name_end + 2 < line.size();
  return !stated || (line[name_end + 2] != 'Z' && line[name_end + 2] != 'X');
#else
  return true;
#endif
}

}  // namespace assay::platform
