# Defines `assay::highway`: vectors compiled for several instruction sets. Its
# headers serve; kernels/simd.cpp says why the library stays out. Only the
# checks of debug and sanitizer builds call into it.
if(NOT TARGET assay::highway)
  find_path(ASSAY_HIGHWAY_INCLUDE hwy/highway.h REQUIRED)
  find_library(ASSAY_HIGHWAY hwy REQUIRED)
  add_library(assay::highway INTERFACE IMPORTED GLOBAL)
  set_target_properties(assay::highway PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${ASSAY_HIGHWAY_INCLUDE}"
    INTERFACE_COMPILE_DEFINITIONS HWY_SHARED_DEFINE
    INTERFACE_LINK_LIBRARIES "$<$<NOT:$<CONFIG:Release>>:${ASSAY_HIGHWAY}>")
endif()
