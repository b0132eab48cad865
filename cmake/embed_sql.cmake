# Turns .sql files into C at build time, byte for byte (read as HEX, so ; [ ] and quotes survive CMake).
#
# A statement file holds one statement and starts with comment lines:
#   -- what it does
#   -- $1 bigint[] ids
# and becomes `const struct db_stmt SQL_<folder>_<file>` {name, text, parameter types}, declared in the generated
# header gen/<folder>_sql.h. A migration NNNN_name.sql becomes an entry of db_migrations[].

set(WAYMARK_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_sql_run.cmake)

function(waymark_embed_statements folder out)
  set(c ${CMAKE_BINARY_DIR}/gen/${folder}_sql.c)
  set(h ${CMAKE_BINARY_DIR}/gen/${folder}_sql.h)
  string(REPLACE ";" "|" files "${ARGN}")
  add_custom_command(OUTPUT ${c} ${h}
    COMMAND ${CMAKE_COMMAND} -DMODE=statements -DFOLDER=${folder} "-DFILES=${files}" -DOUT_C=${c} -DOUT_H=${h}
            -P ${WAYMARK_EMBED_SCRIPT}
    DEPENDS ${ARGN} ${WAYMARK_EMBED_SCRIPT} VERBATIM)
  set(${out} ${c} ${h} PARENT_SCOPE)
endfunction()

function(waymark_embed_migrations out)
  set(c ${CMAKE_BINARY_DIR}/gen/migrations.c)
  string(REPLACE ";" "|" files "${ARGN}")
  add_custom_command(OUTPUT ${c}
    COMMAND ${CMAKE_COMMAND} -DMODE=migrations "-DFILES=${files}" -DOUT_C=${c} -P ${WAYMARK_EMBED_SCRIPT}
    DEPENDS ${ARGN} ${WAYMARK_EMBED_SCRIPT} VERBATIM)
  set(${out} ${c} PARENT_SCOPE)
endfunction()
