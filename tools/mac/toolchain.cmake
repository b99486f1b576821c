# arm64 macOS from Linux, with the compiler and linker of the PyPI package
# ziglang behind the wrappers that tools/mac/cross.sh writes to build/mac/bin.
get_filename_component(mac "${CMAKE_CURRENT_LIST_DIR}/../../build/mac" ABSOLUTE)
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_VERSION 23)  # Darwin 23 is macOS 14
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_OSX_ARCHITECTURES "" CACHE STRING "")
set(CMAKE_OSX_SYSROOT "" CACHE STRING "")
set(CMAKE_OSX_DEPLOYMENT_TARGET "" CACHE STRING "")
set(CMAKE_C_COMPILER "${mac}/bin/zcc")
set(CMAKE_CXX_COMPILER "${mac}/bin/zc++")
set(CMAKE_AR "${mac}/bin/zar" CACHE FILEPATH "")
set(CMAKE_RANLIB "${mac}/bin/zranlib" CACHE FILEPATH "")
set(CMAKE_INSTALL_NAME_TOOL /bin/true CACHE FILEPATH "")

# Nothing of the Linux system may be found: headers of the C library there
# would be taken for those of macOS.
set(CMAKE_FIND_ROOT_PATH "${mac}/root")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
list(APPEND CMAKE_PREFIX_PATH "${mac}/root")

# Debugging checks of zig's own are off, as is what debuggers read, which it
# adds unasked (a tenth of the time), and nothing is optimized: what counts is
# that it compiles and links. Instructions are chosen the faster way (5%).
set(mac_flags "-O0 -g0 -fno-sanitize=all -fno-global-isel")
set(CMAKE_C_FLAGS_INIT "${mac_flags}")
set(CMAKE_CXX_FLAGS_INIT "${mac_flags}")

# CMake 3.25 would ask sw_vers for this; without it an imported library whose
# install name starts with @rpath is an error.
set(_CURRENT_OSX_VERSION "14.0")
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_NAME_DIR "@rpath")
# The frameworks that MLX names, as text stubs.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-F${mac}/root/Frameworks")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-F${mac}/root/Frameworks")
