#include "assay/core/platform_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "assay/core/finding.h"

#if defined(__APPLE__)
#include <crt_externs.h>
#include <mach-o/dyld.h>
#else
extern char** environ;
#endif

namespace assay::platform {
namespace {

using Clock = std::chrono::steady_clock;

char** environment() {
#if defined(__APPLE__)
  return *_NSGetEnviron();
#else
  return environ;
#endif
}

// Ends with a null, as exec wants it; the words must outlive it.
std::vector<char*> c_words(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const auto& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  return arguments;
}

// What the child does between fork and exec.
struct SpawnPlan {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};

  SpawnPlan(const ProcessOptions& options, int output) {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (options.keep_errors) {
      posix_spawn_file_actions_adddup2(&actions, output, 2);
    } else {
      posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    }
    if (!options.folder.empty()) {
      posix_spawn_file_actions_addchdir_np(&actions, options.folder.c_str());
    }
    // A group of its own, so that all it started can be ended with it.
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
};

int milliseconds_until(Clock::time_point end) {
  auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  return static_cast<int>(std::clamp<long long>(left.count(), 0, 60'000));
}

// Reads until the writers closed their end; false at the limit.
bool collect(int descriptor,
             Clock::time_point end,
             size_t max_output,
             std::string& output) {
  std::array<char, 4096> buffer{};
  while (Clock::now() < end) {
    pollfd waiting{descriptor, POLLIN, 0};
    if (poll(&waiting, 1, milliseconds_until(end)) <= 0) {
      continue;
    }
    ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) {
      return true;
    }
    if (count > 0) {
      output.append(buffer.data(),
                    std::min(static_cast<size_t>(count),
                             max_output - std::min(max_output, output.size())));
    }
  }
  return false;
}

int exit_code(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// A program may close its output and go on: the limit holds for it too.
bool await_end(pid_t child, Clock::time_point end, int& status) {
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (Clock::now() >= end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

int lock_file(const std::filesystem::path& path,
              std::chrono::milliseconds wait) {
  int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    fail("file.unwritable",
         path.string(),
         "a lock file that can be opened",
         std::strerror(errno));
  }
  auto end = Clock::now() + wait;
  while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    bool busy = errno == EWOULDBLOCK || errno == EINTR;
    if (!busy) {
      int cause = errno;
      close(descriptor);
      fail("file.unwritable",
           path.string(),
           "a file system with locks",
           std::strerror(cause));
    }
    if (Clock::now() >= end) {
      close(descriptor);
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return descriptor;
}

void unlock_file(int descriptor) {
  close(descriptor);
}

bool sync_folder(const std::filesystem::path& folder) {
  const auto* named = folder.empty() ? "." : folder.c_str();
  int descriptor = open(named, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    return errno == EACCES;  // it may be written, not read
  }
  bool synced = fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP ||
                errno == EBADF;
  int cause = errno;
  close(descriptor);
  errno = cause;
  return synced;
}

ProcessResult run_process(const std::vector<std::string>& words,
                          const ProcessOptions& options) {
  ProcessResult result;
  std::array<int, 2> ends{};
  if (words.empty() || pipe(ends.data()) != 0) {
    return result;
  }
  for (int end : ends) {
    fcntl(end, F_SETFD, FD_CLOEXEC);
  }
  auto arguments = c_words(words);
  pid_t child = 0;
  int cause = 0;
  {
    auto plan = SpawnPlan(options, ends[1]);
    cause = posix_spawnp(&child,
                         arguments[0],
                         &plan.actions,
                         &plan.attributes,
                         arguments.data(),
                         environment());
  }
  close(ends[1]);
  if (cause != 0) {
    close(ends[0]);
    result.output = std::strerror(cause);
    return result;
  }
  auto end = Clock::now() + options.limit;
  int status = 0;
  if (!collect(ends[0], end, options.max_output, result.output) ||
      !await_end(child, end, status)) {
    result.timed_out = true;
    kill(-child, SIGKILL);
    waitpid(child, &status, 0);
  }
  close(ends[0]);
  result.exit_code = exit_code(status);
  return result;
}

int run_in_terminal(const std::string& command,
                    const std::vector<std::string>& words) {
  // As git does it: the shell splits the command, never the words.
  std::vector<std::string> all = {"sh", "-c", command + " \"$@\"", command};
  all.insert(all.end(), words.begin(), words.end());
  auto arguments = c_words(all);
  pid_t child = 0;
  if (posix_spawnp(&child,
                   arguments[0],
                   nullptr,
                   nullptr,
                   arguments.data(),
                   environment()) != 0) {
    return 127;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return exit_code(status);
}

std::filesystem::path program_file() {
  std::error_code error;
#if defined(__APPLE__)
  std::array<char, 4096> name{};
  auto size = static_cast<uint32_t>(name.size());
  if (_NSGetExecutablePath(name.data(), &size) != 0) {
    return {};
  }
  auto file = std::filesystem::canonical(name.data(), error);
#else
  auto file = std::filesystem::read_symlink("/proc/self/exe", error);
#endif
  return error ? std::filesystem::path() : file;
}

}  // namespace assay::platform
