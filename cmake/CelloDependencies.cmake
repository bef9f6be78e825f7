# Third-party libraries. All are required but liburing.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
pkg_check_modules(liburing IMPORTED_TARGET liburing>=2.3)

# Limits of nghttp2's own: newer versions have them, and older ones to which they were added.
include(CheckSymbolExists)
set(CMAKE_REQUIRED_LIBRARIES PkgConfig::nghttp2)
foreach(option stream_reset_rate_limit glitch_rate_limit max_continuations)
  string(TOUPPER CELLO_HAVE_NGHTTP2_${option} have)
  check_symbol_exists(nghttp2_option_set_${option} nghttp2/nghttp2.h ${have})
  if(${have})
    list(APPEND cello_features ${have}=1)
  endif()
endforeach()
unset(CMAKE_REQUIRED_LIBRARIES)

if(NOT liburing_FOUND)
  message(STATUS "liburing >= 2.3 is absent: building with the epoll back end only")
endif()

# What `cello --version` tells of the libraries that this build uses; OpenSSL and nghttp2 are asked
# when it runs.
set(CELLO_LIBRARIES "pcre2 ${pcre2_VERSION}")
if(liburing_FOUND)
  string(PREPEND CELLO_LIBRARIES "liburing ${liburing_VERSION}, ")
endif()

if(CELLO_TESTS)
  pkg_check_modules(cmocka IMPORTED_TARGET cmocka)
  if(NOT cmocka_FOUND)
    message(STATUS "cmocka is absent: the unit tests are not built (run: tools/setup_system.sh test)")
  endif()
endif()

if(CELLO_PYTHON)
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
endif()
