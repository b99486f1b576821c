#include "assay/core/platform_library.h"

#include <dlfcn.h>
#include <system_error>

namespace assay::platform {
namespace fs = std::filesystem;

std::string library_name(const std::string& name) {
#if defined(__APPLE__)
  return "@rpath/lib" + name + ".dylib";
#else
  return "lib" + name + ".so";
#endif
}

void* load_library(const std::string& file, std::string& reason) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* text = dlerror();
    reason = text == nullptr ? "it can't be loaded" : text;
  }
  return library;
}

void* symbol_in(void* library, const char* symbol) {
  return dlsym(library, symbol);
}

void* symbol_behind_program(const char* symbol) {
  return dlsym(RTLD_NEXT, symbol);
}

void* symbol_of_process(const char* symbol) {
  return dlsym(RTLD_DEFAULT, symbol);
}

fs::path library_of(const void* address) {
  Dl_info found{};
  if (address == nullptr || dladdr(address, &found) == 0 ||
      found.dli_fname == nullptr) {
    return {};
  }
  // Through links such as Debian's libblas.so.3 to the library itself.
  std::error_code error;
  auto file = fs::canonical(found.dli_fname, error);
  return error ? fs::path(found.dli_fname) : file;
}

}  // namespace assay::platform
