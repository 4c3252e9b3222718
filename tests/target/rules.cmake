# target_prog and its plug-in once more, as a linker makes them that gives no build-id.
mproc_program(target_prog-no-id mproc ${CMAKE_CURRENT_LIST_DIR}/target_prog.c)
target_link_options(target_prog-no-id PRIVATE -Wl,--build-id=none)
add_library(no_id_plugin MODULE ${CMAKE_CURRENT_LIST_DIR}/target_plugin.c)
mproc_compile_options(no_id_plugin)
target_link_libraries(no_id_plugin PRIVATE mproc)
target_link_options(no_id_plugin PRIVATE -Wl,--build-id=none)
set_target_properties(no_id_plugin PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${MPROC_TEST_BIN})
