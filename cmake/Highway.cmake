# Defines `assay::highway`: vectors with run-time dispatch, found by header and
# library, since its CMake package leaves out that the library is a shared one.
if(NOT TARGET assay::highway)
  find_path(ASSAY_HIGHWAY_INCLUDE hwy/highway.h REQUIRED)
  find_library(ASSAY_HIGHWAY hwy REQUIRED)
  add_library(assay::highway INTERFACE IMPORTED GLOBAL)
  set_target_properties(assay::highway PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${ASSAY_HIGHWAY_INCLUDE}"
    INTERFACE_COMPILE_DEFINITIONS HWY_SHARED_DEFINE
    INTERFACE_LINK_LIBRARIES "${ASSAY_HIGHWAY}")
endif()
