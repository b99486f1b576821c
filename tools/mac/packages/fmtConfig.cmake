# The headers, and a text stub in place of the library (tools/mac/stubs.py).
add_library(fmt::fmt INTERFACE IMPORTED)
get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set_target_properties(fmt::fmt PROPERTIES
  INTERFACE_LINK_LIBRARIES "${root}/lib/libfmt.tbd"
  INTERFACE_INCLUDE_DIRECTORIES "${root}/include")
