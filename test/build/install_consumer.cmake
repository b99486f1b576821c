# cmake -DBINARY= -DSOURCE= -DCOMPILER= -DGENERATOR= -P: installs the build tree
# BINARY below itself, then configures, builds and runs the program of SOURCE
# against that installation.
set(work "${BINARY}/install_consumer")
file(REMOVE_RECURSE "${work}")

function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result
    OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    string(REPLACE ";" " " command "${ARGN}")
    message(FATAL_ERROR "${command}\n${output}\nexit status ${result}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

step(${CMAKE_COMMAND} --install "${BINARY}" --prefix "${work}/prefix")
# Headers and libraries must be found in their new place alone.
step(${CMAKE_COMMAND} -S "${SOURCE}" -B "${work}/build" -G "${GENERATOR}"
  "-DCMAKE_PREFIX_PATH=${work}/prefix" "-DCMAKE_CXX_COMPILER=${COMPILER}")
step(${CMAKE_COMMAND} --build "${work}/build")
step("${work}/build/consumer")
if(NOT output MATCHES "file.unreadable")
  message(FATAL_ERROR "the consumer printed: ${output}")
endif()

if(EXISTS "${work}/prefix/bin/assay")
  step("${work}/prefix/bin/assay" --version)
  # Serves until it is ended, so that the time is not the verdict. The library
  # that serves was found in its new place if the address came.
  execute_process(COMMAND "${work}/prefix/bin/assay" mcp --http TIMEOUT 3
    RESULT_VARIABLE ignored OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT output MATCHES "http://127.0.0.1:[0-9]+/mcp")
    message(FATAL_ERROR "mcp --http printed: ${output}")
  endif()
  foreach(file share/man/man1/assay.1 share/zsh/site-functions/_assay
      share/bash-completion/completions/assay
      share/fish/vendor_completions.d/assay.fish)
    file(SIZE "${work}/prefix/${file}" size)
    if(size EQUAL 0)
      message(FATAL_ERROR "${file} is empty")
    endif()
  endforeach()
endif()
file(REMOVE_RECURSE "${work}")
