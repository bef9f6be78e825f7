# Compiler and linker flags. cello_flags carries them to every target of this project.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Asserts are off in Release only.
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

add_library(cello_flags INTERFACE)
# Reports of crashes name the build. A program loads the libraries that it calls: the supervisor
# none of those behind protocols.
target_link_options(cello_flags INTERFACE -Wl,--build-id -Wl,--as-needed)
target_compile_options(cello_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla
  $<$<BOOL:${CELLO_WERROR}>:-Werror>
  -fno-semantic-interposition -fno-omit-frame-pointer)
# An empty value agrees with a file that writes `#define _GNU_SOURCE` itself.
target_compile_definitions(cello_flags INTERFACE _GNU_SOURCE=)

if(CELLO_SANITIZE)
  target_compile_options(cello_flags INTERFACE
    -O1 -fsanitize=${CELLO_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(cello_flags INTERFACE -fsanitize=${CELLO_SANITIZE})
  if(CELLO_SANITIZE MATCHES "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # It does not model fences, and gcc warns of each. Ours stand between atomic accesses.
    target_compile_options(cello_flags INTERFACE -Wno-tsan)
  endif()
else()
  target_compile_options(cello_flags INTERFACE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection)
  target_link_options(cello_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()

if(CELLO_COVERAGE)
  target_compile_options(cello_flags INTERFACE -O0 --coverage)
  target_link_options(cello_flags INTERFACE --coverage)
endif()

if(CELLO_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "CELLO_FUZZ needs clang: use the preset fuzz")
  endif()
  target_compile_options(cello_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Link-time optimisation for what is shipped; the other builds link fast instead.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CELLO_SANITIZE)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT lto_works OUTPUT lto_why LANGUAGES C)
  if(lto_works)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  else()
    message(STATUS "link-time optimisation is off: this tool chain cannot do it")
  endif()
endif()

# A file named *_avx2.c or *_sse42.c is compiled for that instruction set and chosen at run time;
# on other processors its content is expected to vanish under #if.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(cello_cpu_avx2 -mavx2 -mbmi -mbmi2 -mlzcnt -mpopcnt -mpclmul)
  set(cello_cpu_sse42 -msse4.2 -mpopcnt -mpclmul)
endif()
