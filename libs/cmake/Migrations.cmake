# rookery_embed_migrations(<target> <dir>) compiles the <dir>/NNNN_name.sql files into
# <target>, in the order of their numbers, and gives it the header "migrations.h":
#   namespace rookery::<service> { std::vector<pg::Migration> Migrations(); }
# where <service> is the target's name without rookery_ and _core. A file that is added
# or changed is noticed by the next build.
function(rookery_embed_migrations target dir)
  get_filename_component(dir "${dir}" ABSOLUTE)
  file(GLOB files CONFIGURE_DEPENDS "${dir}/*.sql")
  if(NOT files)
    message(FATAL_ERROR "no migrations in ${dir}")
  endif()
  list(SORT files)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
  string(REGEX REPLACE "^rookery_(.*)_core$" "\\1" namespace ${target})
  set(entries "")
  set(last 0)
  foreach(file IN LISTS files)
    get_filename_component(name ${file} NAME_WE)
    if(NOT name MATCHES "^0*([1-9][0-9]*)_[a-z0-9_]+$")
      message(FATAL_ERROR "${file}: not named NNNN_name.sql")
    endif()
    set(version ${CMAKE_MATCH_1})
    if(NOT version GREATER last)
      message(FATAL_ERROR "${file}: its number is taken")
    endif()
    set(last ${version})
    file(READ ${file} sql)
    string(APPEND entries "      {${version}, \"${name}\", R\"sql(${sql})sql\"},\n")
  endforeach()
  set(out "${CMAKE_CURRENT_BINARY_DIR}/migrations")
  rookery_write_if_different("${out}/migrations.h" "#pragma once

#include <vector>

#include \"rookery/pg/pool.h\"

namespace rookery::${namespace} {

std::vector<pg::Migration> Migrations();

}  // namespace rookery::${namespace}
")
  rookery_write_if_different("${out}/migrations.cc" "#include \"migrations.h\"

namespace rookery::${namespace} {

std::vector<pg::Migration> Migrations() {
  return {
${entries}  };
}

}  // namespace rookery::${namespace}
")
  target_sources(${target} PRIVATE "${out}/migrations.cc")
  target_include_directories(${target} PUBLIC "${out}")
endfunction()

function(rookery_write_if_different file content)
  if(EXISTS "${file}")
    file(READ "${file}" old)
    if(old STREQUAL content)
      return()
    endif()
  endif()
  file(WRITE "${file}" "${content}")
endfunction()
