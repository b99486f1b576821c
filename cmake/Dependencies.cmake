# Every library that Assay uses, found in one place. The README gives the
# reason for each. What is found here, cmake/assayConfig.cmake.in finds again
# for those who use the installed library.

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(simdjson REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(SQLite3 REQUIRED)
include(Highway)
include(Httplib)
include(Toml)
include(Utf8proc)
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
