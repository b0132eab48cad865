# llhttp from either source: libllhttp-dev where the distribution has it, else the C sources that Debian 12's
# node-llhttp ships. Where neither is installed, ./dev unpacks node-llhttp into build/llhttp, which spares a machine
# the whole of Node.
set(WAYMARK_LLHTTP_ROOT ${CMAKE_SOURCE_DIR}/build/llhttp CACHE PATH
  "folder into which the node-llhttp package was unpacked")

find_library(LLHTTP_LIBRARY llhttp)
find_path(LLHTTP_INCLUDE llhttp.h PATHS ${WAYMARK_LLHTTP_ROOT}/usr/share/include /usr/share/include
  PATH_SUFFIXES llhttp)
find_path(LLHTTP_SOURCES llhttp.c PATHS ${WAYMARK_LLHTTP_ROOT}/usr/share/llhttp /usr/share/llhttp)
if(LLHTTP_LIBRARY AND LLHTTP_INCLUDE)
  add_library(deps_llhttp INTERFACE)
  target_include_directories(deps_llhttp SYSTEM INTERFACE ${LLHTTP_INCLUDE})
  target_link_libraries(deps_llhttp INTERFACE ${LLHTTP_LIBRARY})
elseif(LLHTTP_SOURCES AND LLHTTP_INCLUDE)
  add_library(deps_llhttp STATIC ${LLHTTP_SOURCES}/llhttp.c ${LLHTTP_SOURCES}/api.c ${LLHTTP_SOURCES}/http.c)
  target_include_directories(deps_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
else()
  message(FATAL_ERROR "llhttp not found: install libllhttp-dev or node-llhttp, or run ./dev build")
endif()
add_library(deps::llhttp ALIAS deps_llhttp)
