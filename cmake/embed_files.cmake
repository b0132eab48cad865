# Turns the files of a folder into C at build time: bytes, content type, strong ETag (SHA-256), and the bytes gzipped
# where that is smaller. In the manner of embed_sql.cmake.
#
# waymark_embed_files(FOLDER NAME OUT): every file below FOLDER, by its path relative to it, as
# `const struct httpd_file FILES_<NAME>[]` (httpd.h), declared in the generated header gen/<NAME>_files.h. OUT gets the
# generated sources, to be added to a target.

set(WAYMARK_EMBED_FILES_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_files_run.cmake)
find_program(WAYMARK_GZIP gzip)

function(waymark_embed_files folder name out)
  set(c ${CMAKE_BINARY_DIR}/gen/${name}_files.c)
  set(h ${CMAKE_BINARY_DIR}/gen/${name}_files.h)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*)
  string(REPLACE ";" "|" list "${files}")
  list(TRANSFORM files PREPEND ${folder}/)
  add_custom_command(OUTPUT ${c} ${h}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${folder} -DNAME=${name} "-DFILES=${list}" -DGZIP=${WAYMARK_GZIP}
            -DOUT_C=${c} -DOUT_H=${h} -P ${WAYMARK_EMBED_FILES_SCRIPT}
    DEPENDS ${files} ${WAYMARK_EMBED_FILES_SCRIPT} VERBATIM)
  set(${out} ${c} ${h} PARENT_SCOPE)
endfunction()
