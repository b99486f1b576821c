# The Rust library of the text room, where `cmake --install` put it: beside the
# rooms, two folders above this file.
if(NOT TARGET assay::text_rust)
  add_library(assay::text_rust UNKNOWN IMPORTED)
  get_filename_component(assay_text_rust
    "${CMAKE_CURRENT_LIST_DIR}/../../libassay_text_rust.a" ABSOLUTE)
  set_target_properties(assay::text_rust PROPERTIES
    IMPORTED_LOCATION "${assay_text_rust}"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()
