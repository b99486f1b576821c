# Defines `assay::httplib`: HTTP. Debian builds it as a library whose headers
# must see the same switches as the library did; its pkg-config file names them.
if(NOT TARGET assay::httplib)
  find_path(ASSAY_HTTPLIB_INCLUDE httplib.h REQUIRED)
  find_library(ASSAY_HTTPLIB NAMES cpp-httplib)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND AND NOT CMAKE_CROSSCOMPILING)
    pkg_check_modules(ASSAY_HTTPLIB_PC QUIET cpp-httplib)
  endif()
  add_library(assay::httplib INTERFACE IMPORTED GLOBAL)
  set_target_properties(assay::httplib PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${ASSAY_HTTPLIB_INCLUDE}"
    INTERFACE_COMPILE_OPTIONS "${ASSAY_HTTPLIB_PC_CFLAGS_OTHER}")
  if(ASSAY_HTTPLIB)
    set_target_properties(assay::httplib PROPERTIES
      INTERFACE_LINK_LIBRARIES "${ASSAY_HTTPLIB}")
  endif()
endif()
