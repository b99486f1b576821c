#include "assay/core/finding.h"
#include "assay/core/platform_library.h"
#include "assay/http/http.h"

namespace assay::http {

Serve load_server() {
  auto file = platform::library_name("assay_http");
  std::string reason;
  void* loaded = platform::load_library(file, reason);
  void* symbol =
      loaded == nullptr ? nullptr : platform::symbol_in(loaded, kEntry);
  if (symbol == nullptr) {
    fail("http.unavailable",
         file,
         "the library that serves HTTP, where the program's own libraries lie",
         loaded == nullptr ? reason : "another library of that name");
  }
  const auto& library = *reinterpret_cast<Entry>(symbol)();
  if (library.version != ASSAY_VERSION) {
    fail("http.unavailable",
         file,
         "the library of version " ASSAY_VERSION,
         "version " + std::string(library.version));
  }
  return library.serve;
}

}  // namespace assay::http
