# Defines `assay::toml`: toml++, used as headers only. Debian also builds it as
# a library, which its CMake package would link.
if(NOT TARGET assay::toml)
  find_path(ASSAY_TOML_INCLUDE toml++/toml.h REQUIRED)
  add_library(assay::toml INTERFACE IMPORTED GLOBAL)
  set_target_properties(assay::toml PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${ASSAY_TOML_INCLUDE}"
    INTERFACE_COMPILE_DEFINITIONS "TOML_HEADER_ONLY=1")
endif()
