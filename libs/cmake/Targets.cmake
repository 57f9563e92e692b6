# How a library, a service, a test and a fuzz target are declared, so that no
# CMakeLists.txt repeats flags.

add_library(rookery_options INTERFACE)
target_compile_options(rookery_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror)
target_link_options(rookery_options INTERFACE -fuse-ld=lld)
if(ROOKERY_SANITIZE)
  add_compile_options(-fsanitize=${ROOKERY_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${ROOKERY_SANITIZE})
endif()
if(ROOKERY_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Asio, compiled once (libs/runtime/src/asio.cc).
add_library(rookery_asio INTERFACE)
add_library(rookery::asio ALIAS rookery_asio)
target_compile_definitions(rookery_asio INTERFACE BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_BEAST_SEPARATE_COMPILATION BOOST_BEAST_USE_STD_STRING_VIEW)
target_link_libraries(rookery_asio INTERFACE Boost::headers Threads::Threads OpenSSL::SSL OpenSSL::Crypto)

# Headers that all sources of a target share are parsed once. Sanitizers build without,
# so that a missing include is found.
function(rookery_precompile target header)
  if(ROOKERY_SANITIZE)
    return()
  endif()
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/libs/cmake)
  target_precompile_headers(${target} PRIVATE ${CMAKE_SOURCE_DIR}/libs/cmake/precompiled/${header})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # ccache compares contents instead.
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# rookery_library(<name> SOURCES … [DEPS …] [PRIVATE_DEPS …]) makes rookery_<name>
# with alias rookery::<name>; public headers lie in include/.
function(rookery_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(rookery_${name} STATIC ${A_SOURCES})
  add_library(rookery::${name} ALIAS rookery_${name})
  target_include_directories(rookery_${name} PUBLIC include PRIVATE src)
  target_link_libraries(rookery_${name} PUBLIC ${A_DEPS} PRIVATE ${A_PRIVATE_DEPS} rookery_options)
endfunction()

# rookery_service(<name> CORE_SOURCES … [DEPS …]) makes rookery_<name>_core and the
# executable rookery-<name> from src/main.cc.
function(rookery_service name)
  cmake_parse_arguments(A "" "" "CORE_SOURCES;DEPS" ${ARGN})
  string(REPLACE "-" "_" id ${name})
  add_library(rookery_${id}_core STATIC ${A_CORE_SOURCES})
  target_include_directories(rookery_${id}_core PUBLIC src)
  target_link_libraries(rookery_${id}_core PUBLIC ${A_DEPS} PRIVATE rookery_options)
  rookery_precompile(rookery_${id}_core service.h)
  add_executable(rookery-${name} src/main.cc)
  target_link_libraries(rookery-${name} PRIVATE rookery_${id}_core rookery_options)
  if(NOT ROOKERY_SANITIZE)
    target_sources(rookery-${name} PRIVATE ${CMAKE_SOURCE_DIR}/libs/app/src/allocator.cc)
    target_link_libraries(rookery-${name} PRIVATE PkgConfig::jemalloc)
  endif()
  set_target_properties(rookery-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# rookery_test(<target> SOURCES … DEPS … [LABELS …] [BY_HAND]): a GoogleTest binary.
# Label `integration` marks a test that starts a real backend. BY_HAND: one that measures, which no test run starts.
function(rookery_test target)
  cmake_parse_arguments(A "BY_HAND" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${target} ${A_SOURCES})
  if(ROOKERY_FUZZ)
    # There, but not built: libraries may go on to set its properties.
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  target_link_libraries(${target} PRIVATE ${A_DEPS} GTest::gmock_main rookery_options)
  list(LENGTH A_SOURCES count)
  if(count GREATER 8)
    rookery_precompile(${target} test.h)
  endif()
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(A_BY_HAND)
    return()
  endif()
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "${A_LABELS}")
endfunction()

# rookery_fuzz(<target> SOURCES … DEPS …): a libFuzzer binary, in the fuzz preset only.
function(rookery_fuzz target)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT ROOKERY_FUZZ)
    return()
  endif()
  add_executable(${target} ${A_SOURCES})
  target_link_libraries(${target} PRIVATE ${A_DEPS} rookery_options)
  target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()

include(GoogleTest)
include(Migrations)
