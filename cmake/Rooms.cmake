# A room is one folder of src/, one static library, and the only rooms that it
# may include from are those that it links. Each room's headers are reached
# through a folder of their own (a link in the build tree), so an include that
# breaks the order of the rooms does not compile.

add_library(assay_options INTERFACE)
target_compile_features(assay_options INTERFACE cxx_std_20)
target_compile_options(assay_options INTERFACE -Wall -Wextra -Wpedantic
  -Wshadow -Wconversion -Wno-sign-conversion)
# clang reports what templates of g++'s own library use.
target_compile_options(assay_options INTERFACE
  $<$<AND:$<CXX_COMPILER_ID:Clang>,$<PLATFORM_ID:Linux>>:-Wno-deprecated-declarations>)
if(ASSAY_UNITY)
  # Names of one source are no trap for the next, and none of them is a header.
  target_compile_options(assay_options INTERFACE -Wno-shadow
    $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
if(ASSAY_WERROR)
  target_compile_options(assay_options INTERFACE -Werror)
endif()
if(ASSAY_SANITIZE)
  # A finding ends the program, so that no test passes over it.
  target_compile_options(assay_options INTERFACE
    -fsanitize=${ASSAY_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer
    # g++ 12 suspects its own <regex> where it is instrumented.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(assay_options INTERFACE -fsanitize=${ASSAY_SANITIZE})
endif()
if(ASSAY_FUZZ)
  target_compile_options(assay_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# assay_room(NAME [COLD] SOURCES a.cpp... [LINKS rooms and libraries...]
#            [PRIVATE_LINKS libraries...])
# Headers beside the sources are included as "assay/NAME/header.h". A COLD room
# has no loop that anyone waits for: -O1 compiles it in two thirds of the time.
function(assay_room name)
  cmake_parse_arguments(ROOM "COLD" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  set(root "${PROJECT_BINARY_DIR}/rooms/${name}")
  file(MAKE_DIRECTORY "${root}/assay")
  file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}" "${root}/assay/${name}"
    SYMBOLIC)
  add_library(assay_${name} STATIC ${ROOM_SOURCES})
  add_library(assay::${name} ALIAS assay_${name})
  target_compile_features(assay_${name} PUBLIC cxx_std_20)
  if(ROOM_COLD)
    target_compile_options(assay_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  target_include_directories(assay_${name} PUBLIC
    "$<BUILD_INTERFACE:${root}>" "$<INSTALL_INTERFACE:include>")
  target_link_libraries(assay_${name}
    PUBLIC ${ROOM_LINKS}
    PRIVATE "$<BUILD_INTERFACE:assay_options>" ${ROOM_PRIVATE_LINKS})
  set_target_properties(assay_${name} PROPERTIES EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY ASSAY_ROOMS ${name})
  set_property(GLOBAL APPEND PROPERTY ASSAY_ROOM_DIRS
    "${CMAKE_CURRENT_SOURCE_DIR}")
endfunction()

# doctest's own code and the headers that most tests include, compiled once for
# all of them, with the options that programs have.
function(assay_test_main)
  add_library(assay_test_main OBJECT "${PROJECT_SOURCE_DIR}/test/main.cpp"
    "${PROJECT_SOURCE_DIR}/test/precompiled.cpp")
  target_link_libraries(assay_test_main PRIVATE doctest::doctest fmt::fmt
    nlohmann_json::nlohmann_json mlx assay_options)
  set_target_properties(assay_test_main PROPERTIES
    POSITION_INDEPENDENT_CODE OFF UNITY_BUILD OFF)
  target_compile_options(assay_test_main PRIVATE
    -fPIE $<$<CONFIG:Release>:-O1>)
  target_precompile_headers(assay_test_main PRIVATE
    <filesystem> <fstream> <functional> <map> <optional> <span> <string>
    <vector> <doctest/doctest.h> <fmt/format.h> <mlx/mlx.h>
    <nlohmann/json.hpp>)
  set_source_files_properties("${PROJECT_SOURCE_DIR}/test/main.cpp" PROPERTIES
    SKIP_PRECOMPILE_HEADERS ON)
endfunction()

# assay_test(NAME SOURCES a.cpp... LINKS rooms...): one doctest program for the
# room NAME. Tests find committed data through ASSAY_TEST_DIR, the real model
# (which `./dev test` fetches) at ASSAY_MODEL, and write below ASSAY_BUILD_DIR.
function(assay_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  if(NOT TARGET assay_test_main)
    assay_test_main()
  endif()
  add_executable(test_${name} ${TEST_SOURCES}
    $<TARGET_OBJECTS:assay_test_main>)
  # Compiling them takes longer than running them.
  target_compile_options(test_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_precompile_headers(test_${name} REUSE_FROM assay_test_main)
  target_link_libraries(test_${name} PRIVATE ${TEST_LINKS} doctest::doctest
    assay_options)
  target_compile_definitions(test_${name} PRIVATE
    ASSAY_TEST_DIR="${PROJECT_SOURCE_DIR}/test"
    ASSAY_BUILD_DIR="${PROJECT_BINARY_DIR}"
    ASSAY_MODEL="${ASSAY_MODEL}")
  add_test(NAME ${name} COMMAND test_${name})
  set(limit 900)
  if(ASSAY_SANITIZE)
    set(limit 3600)  # a test on the real model takes several times as long
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${limit})
endfunction()

# assay_bench(NAME SOURCES a.cpp... LINKS rooms...): a Google Benchmark program,
# built by the target `benchmarks` alone, with its own BENCHMARK_MAIN().
function(assay_bench name)
  cmake_parse_arguments(BENCH "" "" "SOURCES;LINKS" ${ARGN})
  if(NOT TARGET benchmarks)
    add_custom_target(benchmarks)
  endif()
  add_executable(bench_${name} EXCLUDE_FROM_ALL ${BENCH_SOURCES})
  target_link_libraries(bench_${name} PRIVATE ${BENCH_LINKS}
    benchmark::benchmark assay_options)
  target_compile_definitions(bench_${name} PRIVATE
    ASSAY_TEST_DIR="${PROJECT_SOURCE_DIR}/test"
    ASSAY_MODEL="${ASSAY_MODEL}")
  set_target_properties(bench_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
  add_dependencies(benchmarks bench_${name})
endfunction()

# assay_fuzz(NAME SOURCES a.cpp... LINKS rooms...): a libFuzzer program; its
# seeds are the files of fuzz/corpus/NAME.
function(assay_fuzz name)
  cmake_parse_arguments(FUZZ "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(fuzz_${name} ${FUZZ_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE ${FUZZ_LINKS} assay_options)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(fuzz_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
endfunction()
