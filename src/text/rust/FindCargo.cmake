# Sets ASSAY_CARGO: cargo with a Rust of at least 1.85, what the crates ask for.
find_program(ASSAY_CARGO cargo HINTS "$ENV{HOME}/.cargo/bin")
set(advice "install Rust 1.85 or newer: rustup, Homebrew's rust, or rustc-web \
and cargo-web of Debian 12 (its plain rustc is too old); ./dev does it")
if(NOT ASSAY_CARGO)
  message(FATAL_ERROR "cargo was not found; ${advice}")
endif()
execute_process(COMMAND "${ASSAY_CARGO}" --version
  OUTPUT_VARIABLE version ERROR_VARIABLE version RESULT_VARIABLE result)
string(REGEX MATCH "[0-9]+\\.[0-9]+(\\.[0-9]+)?" number "${version}")
if(NOT result EQUAL 0 OR number VERSION_LESS 1.85)
  message(FATAL_ERROR
    "${ASSAY_CARGO} is version '${number}' (${version}); ${advice}")
endif()
