# Run by cpack on the installed tree before it is packed: what Debian has elsewhere or in another form.
# cmake 3.25 sets CPACK_TEMPORARY_DIRECTORY, CPACK_PACKAGE_VERSION and what packaging/CMakeLists.txt set.
set(root ${CPACK_TEMPORARY_DIRECTORY})
set(doc ${root}/usr/share/doc/waymark)
set(source ${CMAKE_CURRENT_LIST_DIR})

file(MAKE_DIRECTORY ${root}/usr/share/zsh/vendor-completions)
file(RENAME ${root}/usr/share/zsh/site-functions/_waymark ${root}/usr/share/zsh/vendor-completions/_waymark)
file(REMOVE_RECURSE ${root}/usr/share/zsh/site-functions)

# The example, with the one setting that the service and the commands beside it must agree on.
file(READ ${doc}/config.example.toml config)
string(REPLACE "# dir = \"\"" "dir = \"/var/lib/waymark\"" with_dir "${config}")
if(with_dir STREQUAL config)
  message(FATAL_ERROR "config.example.toml has no line '# dir = \"\"'")
endif()
file(WRITE ${root}/etc/waymark/config.toml "${with_dir}")

file(COPY_FILE ${doc}/LICENSE ${doc}/copyright)
file(REMOVE ${doc}/LICENSE)

# The form Debian's tools read; what changed stands in CHANGELOG.md. SOURCE_DATE_EPOCH is honoured.
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${doc}/changelog "waymark (${CPACK_PACKAGE_VERSION}) stable; urgency=medium

  * See CHANGELOG.md.

 -- ${CPACK_PACKAGE_CONTACT}  ${now}
")
execute_process(COMMAND gzip -9n ${doc}/changelog ${root}/usr/share/man/man1/waymark.1 COMMAND_ERROR_IS_FATAL ANY)
