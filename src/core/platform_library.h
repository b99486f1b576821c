#pragma once

// Shared libraries that are loaded when they are first needed, so that a
// program which does not need them starts without them.

#include <filesystem>
#include <string>

namespace assay::platform {

/** As the linker names it: "libassay_http.so", or "@rpath/libassay_http.dylib",
 * which the loader looks for where the program's own libraries lie. */
std::string library_name(const std::string& name);

/** Null where there is none that fits; `reason` then says why. */
void* load_library(const std::string& file, std::string& reason);
/** Null where the library, or what it stands on, does not have it. */
void* symbol_in(void* library, const char* symbol);
/** What the program would use by that name if it did not define it itself. */
void* symbol_behind_program(const char* symbol);
/** The same, or the program's own if it has one. */
void* symbol_of_process(const char* symbol);

/** The file (a shared library, or the program) that `address` belongs to; empty
 * where none does. */
std::filesystem::path library_of(const void* address);

}  // namespace assay::platform
