#include "assay/core/platform_copy.h"

#include <fcntl.h>
#include <system_error>
#include <unistd.h>

#if defined(__APPLE__)
#include <sys/clonefile.h>
#else
#include <linux/fs.h>
#include <sys/ioctl.h>
#endif

#include "assay/core/finding.h"

namespace assay::platform {
namespace fs = std::filesystem;

namespace {

bool clone_file(const fs::path& from, const fs::path& to) {
#if defined(__APPLE__)
  return clonefile(from.c_str(), to.c_str(), 0) == 0;
#else
  int source = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (source < 0) {
    return false;
  }
  int target = open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  bool cloned = target >= 0 && ioctl(target, FICLONE, source) == 0;
  close(source);
  if (target >= 0) {
    close(target);
    if (!cloned) {
      unlink(to.c_str());
    }
  }
  return cloned;
#endif
}

}  // namespace

CopyKind place_copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  auto real = fs::canonical(from, error);
  if (!error && clone_file(real, to)) {
    return CopyKind::cloned;
  }
  if (!error) {
    fs::create_hard_link(real, to, error);
    if (!error) {
      return CopyKind::linked;
    }
    error.clear();
    fs::copy_file(real, to, error);
  }
  if (error) {
    fail("file.unwritable",
         to.string(),
         "a copy of " + from.string(),
         error.message());
  }
  return CopyKind::copied;
}

}  // namespace assay::platform
