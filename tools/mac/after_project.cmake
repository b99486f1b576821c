# Read after project(): CMake 3.25 leaves these empty for Darwin when the C
# compiler is not Apple's, and then refuses libraries installed under @rpath.
set(CMAKE_SHARED_LIBRARY_RUNTIME_C_FLAG "-Wl,-rpath,")
set(CMAKE_SHARED_LIBRARY_RUNTIME_CXX_FLAG "-Wl,-rpath,")
