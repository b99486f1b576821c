# Defines `assay::mlx`: MLX behind OpenBLAS on Linux, since the wheel bundles
# the reference BLAS and the first definition of `cblas_sgemm` that the loader
# meets is the one that MLX calls. Used by the build and by assayConfig.cmake.
if(NOT TARGET assay::mlx)
  add_library(assay::mlx INTERFACE IMPORTED GLOBAL)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    find_library(ASSAY_OPENBLAS openblas REQUIRED)
    set_property(TARGET assay::mlx APPEND PROPERTY INTERFACE_LINK_LIBRARIES
      "-Wl,--push-state,--no-as-needed" "${ASSAY_OPENBLAS}"
      "-Wl,--pop-state")
  endif()
  set_property(TARGET assay::mlx APPEND PROPERTY INTERFACE_LINK_LIBRARIES mlx)
endif()
