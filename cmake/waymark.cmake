# Compiler flags and the one function that makes a folder of src/ a library.

include(${CMAKE_SOURCE_DIR}/cmake/embed_sql.cmake)
include(${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake)

add_library(waymark_flags INTERFACE)
target_include_directories(waymark_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/gen)
target_compile_definitions(waymark_flags INTERFACE _GNU_SOURCE GEOS_USE_ONLY_R_API
  WAYMARK_VERSION="${PROJECT_VERSION}")
target_compile_options(waymark_flags INTERFACE
  -fno-strict-aliasing -fno-omit-frame-pointer
  # Contracting a*b+c into one rounding differs from machine to machine: matches must not.
  -ffp-contract=off
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wformat=2 -Wno-gnu-zero-variadic-macro-arguments -Wno-unknown-warning-option>)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # gcc's -Wpedantic has no switch for the one GNU extension we use, ##__VA_ARGS__.
  target_compile_options(waymark_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wno-pedantic>)
endif()
if(WAYMARK_WERROR)
  target_compile_options(waymark_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
if(WAYMARK_SANITIZE)
  target_compile_options(waymark_flags INTERFACE -fsanitize=${WAYMARK_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(waymark_flags INTERFACE -fsanitize=${WAYMARK_SANITIZE})
endif()
if(WAYMARK_FAULTS)
  target_compile_definitions(waymark_flags INTERFACE WAYMARK_FAULTS)
endif()
if(WAYMARK_COVERAGE)
  target_compile_options(waymark_flags INTERFACE --coverage)
  target_link_options(waymark_flags INTERFACE --coverage)
endif()

# Everything below app/, for the program and for tests that need it all.
add_library(waymark_all INTERFACE)
add_library(waymark::all ALIAS waymark_all)

# The statement lists of all folders: a public header may include the generated one of its folder, so any file of
# any folder may need them.
add_custom_target(waymark_sql)

# waymark_folder(NAME [DEPS target...]): src/NAME/*.c and src/NAME/sql/*.sql as the OBJECT library
# `NAME` (alias waymark::NAME). Linking it brings its own objects and its libraries, not other folders.
function(waymark_folder name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.c)
  file(GLOB statements CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/sql/*.sql)
  file(GLOB migrations CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/migrations/*.sql)
  if(statements)
    waymark_embed_statements(${name} generated ${statements})
    list(APPEND sources ${generated})
    add_custom_target(sql_${name} DEPENDS ${generated})
    add_dependencies(waymark_sql sql_${name})
  endif()
  if(migrations)
    waymark_embed_migrations(generated ${migrations})
    list(APPEND sources ${generated})
  endif()
  if(NOT sources)
    return()
  endif()
  add_library(${name} OBJECT ${sources})
  add_library(waymark::${name} ALIAS ${name})
  add_dependencies(${name} waymark_sql)
  target_link_libraries(${name} PUBLIC waymark_flags ${arg_DEPS})
  target_link_libraries(waymark_all INTERFACE ${name} $<TARGET_OBJECTS:${name}>)
endfunction()
