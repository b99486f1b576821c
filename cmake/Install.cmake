# What `./dev install --prefix` leaves behind: bin/assay, the rooms as static
# libraries with their headers, a CMake package (`find_package(assay)`), the
# manual page, completions for three shells, and MLX where it came as a wheel,
# so that the build folder may go.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY ASSAY_ROOMS)
get_property(room_dirs GLOBAL PROPERTY ASSAY_ROOM_DIRS)
foreach(room dir IN ZIP_LISTS rooms room_dirs)
  install(TARGETS assay_${room} EXPORT assayTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY "${dir}/"
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/assay/${room}
    FILES_MATCHING PATTERN "*.h" PATTERN "rust" EXCLUDE)
endforeach()
if(rooms)
  install(EXPORT assayTargets NAMESPACE assay::
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/assay)
endif()

# The wheel of MLX finds its own libraries by a path relative to itself, so its
# folders keep their places. The CUDA wheel needs gigabytes of NVIDIA's wheels
# beside it: there the environment stays where it is.
get_filename_component(mlx_root "${MLX_LIBRARY_DIRS}" DIRECTORY)
get_filename_component(mlx_parent "${mlx_root}" DIRECTORY)
set(mlx_place "${CMAKE_INSTALL_LIBDIR}/assay")
set(ASSAY_INSTALL_MLX OFF)
if(mlx_parent MATCHES "site-packages$" AND NOT EXISTS "${mlx_parent}/nvidia")
  set(ASSAY_INSTALL_MLX ON)
  install(DIRECTORY "${mlx_root}/lib" "${mlx_root}/include"
    "${mlx_root}/share" DESTINATION "${mlx_place}/mlx")
  file(GLOB mlx_libs LIST_DIRECTORIES true "${mlx_parent}/mlx*.libs")
  file(GLOB mlx_licenses "${mlx_parent}/mlx-*.dist-info/licenses")
  if(mlx_libs)
    install(DIRECTORY ${mlx_libs} DESTINATION "${mlx_place}")
  endif()
  if(mlx_licenses)
    install(DIRECTORY ${mlx_licenses} DESTINATION "${mlx_place}/mlx")
  endif()
endif()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/assayConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/assayConfig.cmake"
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/assay)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/assayConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/assayConfig.cmake"
  "${PROJECT_BINARY_DIR}/assayConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/Highway.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/Utf8proc.cmake"
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/assay)

if(TARGET assay)
  if(APPLE)
    set(origin "@loader_path")
  else()
    set(origin "$ORIGIN")
  endif()
  set(place "${origin}/../${mlx_place}")
  set_target_properties(assay PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}"
    BUILD_RPATH "${origin}"
    INSTALL_RPATH "${place}/mlx/lib;${place}"
    INSTALL_RPATH_USE_LINK_PATH $<NOT:$<BOOL:${ASSAY_INSTALL_MLX}>>)
  install(TARGETS assay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS assay_http_server LIBRARY DESTINATION "${mlx_place}")
endif()

# The program itself writes its manual page and completions, from the table
# that parses its options.
if(TARGET assay AND NOT CMAKE_CROSSCOMPILING AND NOT ASSAY_SANITIZE)
  set(share "${PROJECT_BINARY_DIR}/share")
  file(MAKE_DIRECTORY "${share}")
  add_custom_command(
    OUTPUT "${share}/assay.1" "${share}/assay.bash" "${share}/_assay"
      "${share}/assay.fish"
    COMMAND assay --man > "${share}/assay.1"
    COMMAND assay --completions bash > "${share}/assay.bash"
    COMMAND assay --completions zsh > "${share}/_assay"
    COMMAND assay --completions fish > "${share}/assay.fish"
    DEPENDS assay
    COMMENT "Writing the manual page and the completions" VERBATIM)
  add_custom_target(assay_share ALL DEPENDS "${share}/assay.1")
  install(FILES "${share}/assay.1" DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  set(data "${CMAKE_INSTALL_DATADIR}")
  install(FILES "${share}/assay.bash" RENAME assay
    DESTINATION ${data}/bash-completion/completions)
  install(FILES "${share}/_assay" DESTINATION ${data}/zsh/site-functions)
  install(FILES "${share}/assay.fish"
    DESTINATION ${data}/fish/vendor_completions.d)
endif()

# Installs into a folder of the build tree, builds a program against the
# package there, and runs it. The sanitizers' runtimes are no part of that.
if(ASSAY_TESTS AND NOT CMAKE_CROSSCOMPILING AND NOT ASSAY_SANITIZE)
  add_test(NAME install_consumer
    COMMAND ${CMAKE_COMMAND}
      "-DBINARY=${PROJECT_BINARY_DIR}"
      "-DSOURCE=${PROJECT_SOURCE_DIR}/test/build/consumer"
      "-DCOMPILER=${CMAKE_CXX_COMPILER}"
      "-DGENERATOR=${CMAKE_GENERATOR}"
      -P "${PROJECT_SOURCE_DIR}/test/build/install_consumer.cmake")
  set_tests_properties(install_consumer PROPERTIES LABELS install TIMEOUT 300)
endif()
