# Every library that Assay uses, found in one place. The README gives the
# reason for each.

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(simdjson REQUIRED)
if(ASSAY_TESTS)
  find_package(doctest REQUIRED)
endif()
if(ASSAY_BENCH)
  find_package(benchmark REQUIRED)
endif()

# MLX comes as a wheel in a private environment, or from Homebrew; it is never
# built here.
file(GLOB ASSAY_MLX_HINT
  "${PROJECT_SOURCE_DIR}/build/venv/lib/python3*/site-packages/mlx")
find_package(MLX 0.32 CONFIG REQUIRED HINTS "${ASSAY_MLX_ROOT}"
  ${ASSAY_MLX_HINT})

# `assay::mlx`: MLX with its headers marked as system headers, behind OpenBLAS
# on Linux: the wheel bundles the reference BLAS, and the first definition of
# `cblas_sgemm` that the loader meets is the one that MLX calls.
add_library(assay_mlx INTERFACE)
add_library(assay::mlx ALIAS assay_mlx)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  find_library(ASSAY_OPENBLAS openblas REQUIRED)
  target_link_libraries(assay_mlx INTERFACE
    "-Wl,--push-state,--no-as-needed" "${ASSAY_OPENBLAS}"
    "-Wl,--pop-state")
endif()
target_link_libraries(assay_mlx INTERFACE mlx)
target_include_directories(assay_mlx SYSTEM INTERFACE
  $<TARGET_PROPERTY:mlx,INTERFACE_INCLUDE_DIRECTORIES>)
