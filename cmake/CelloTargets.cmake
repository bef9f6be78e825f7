# The kinds of targets that CMakeLists.txt builds from the files it finds.

# libcello.a, position independent, so that it links into programs and into the Python module.
function(cello_add_library)
  if(NOT ARGN)
    message(FATAL_ERROR "no sources under src/")
  endif()
  add_library(cello STATIC ${ARGN})
  target_include_directories(cello PUBLIC include PRIVATE src)
  target_link_libraries(cello PUBLIC Threads::Threads m
    PRIVATE cello_flags PkgConfig::pcre2 PkgConfig::openssl PkgConfig::nghttp2)
  target_compile_definitions(cello PRIVATE ${cello_features})
  if(liburing_FOUND)
    target_link_libraries(cello PRIVATE PkgConfig::liburing)
    target_compile_definitions(cello PRIVATE CELLO_HAVE_URING=1)
  endif()
  cello_set_cpu_flags(${ARGN})
endfunction()

# Compiles x_avx2.c and x_sse42.c for the instruction set in their name.
function(cello_set_cpu_flags)
  foreach(source IN LISTS ARGN)
    if(source MATCHES "_(avx2|sse42)\\.c$")
      set_source_files_properties("${source}" PROPERTIES
        COMPILE_OPTIONS "${cello_cpu_${CMAKE_MATCH_1}}")
    endif()
  endforeach()
endfunction()

# A Python extension module that exports its PyInit_ function and nothing else.
function(cello_add_python_module name)
  Python_add_library(${name} MODULE WITH_SOABI ${ARGN})
  target_link_libraries(${name} PRIVATE cello cello_flags)
  target_include_directories(${name} PRIVATE ext src)
  target_link_options(${name} PRIVATE
    -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/python_module.map)
  set_target_properties(${name} PROPERTIES LINK_DEPENDS
    ${PROJECT_SOURCE_DIR}/cmake/python_module.map)
  cello_set_cpu_flags(${ARGN})
endfunction()

# A program that is installed beside the Python module; it may look inside src/.
function(cello_add_tool name source)
  add_executable(${name} "${source}")
  target_link_libraries(${name} PRIVATE cello cello_flags)
  target_include_directories(${name} PRIVATE src)
endfunction()

# A program of one source file that uses the public API; benchmarks may look inside src/.
function(cello_add_program source folder)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(${folder}_${name} "${source}")
  target_link_libraries(${folder}_${name} PRIVATE cello cello_flags)
  if(folder STREQUAL "bench")
    target_include_directories(${folder}_${name} PRIVATE src)
  endif()
  set_target_properties(${folder}_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${folder})
endfunction()

# Registers a program with ctest under a time limit and a memory limit. Sanitizers reserve
# terabytes of address space, so the memory limit holds for plain builds only.
function(cello_add_limited_test name)
  find_program(PRLIMIT prlimit)
  if(PRLIMIT AND NOT CELLO_SANITIZE)
    set(limits ${PRLIMIT} --as=2147483648 --)
  endif()
  add_test(NAME ${name} COMMAND ${limits} ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120)
endfunction()

# Code shared by unit tests: tests/1_unit/support/.
function(cello_add_test_support)
  add_library(cello_test_support INTERFACE)
  target_include_directories(cello_test_support INTERFACE src tests/1_unit)
  if(cmocka_FOUND)
    target_link_libraries(cello_test_support INTERFACE PkgConfig::cmocka)
  endif()
  if(ARGN)
    add_library(cello_test_code STATIC ${ARGN})
    target_include_directories(cello_test_code PRIVATE src tests/1_unit)
    target_link_libraries(cello_test_code PRIVATE cello cello_flags)
    target_link_libraries(cello_test_support INTERFACE cello_test_code)
  endif()
endfunction()

# tests/1_unit/base/arena_test.c becomes the program and the ctest name unit_base_arena.
function(cello_add_unit_test source)
  if(NOT cmocka_FOUND)
    return()
  endif()
  get_filename_component(name "${source}" NAME_WE)
  get_filename_component(folder "${source}" DIRECTORY)
  get_filename_component(folder "${folder}" NAME)
  string(REGEX REPLACE "_test$" "" name "unit_${folder}_${name}")
  add_executable(${name} "${source}")
  target_link_libraries(${name} PRIVATE cello_test_support cello cello_flags)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit)
  cello_add_limited_test(${name} $<TARGET_FILE:${name}>)
endfunction()

# A libFuzzer program, or one that replays the seeds with the same entry point.
function(cello_add_fuzzer source)
  get_filename_component(target "${source}" NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" name "${target}")
  if(CELLO_FUZZ)
    add_executable(${target} "${source}")
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${target} "${source}" tools/fuzz_replay.c)
    cello_add_limited_test(replay_${name}
      $<TARGET_FILE:${target}> ${PROJECT_SOURCE_DIR}/fuzz/seeds/${name})
  endif()
  target_include_directories(${target} PRIVATE src)
  target_link_libraries(${target} PRIVATE cello cello_flags)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()
