# The crash tests that need more than the shared library as it is shipped:
#   steps   kills a process after each single instruction: linked statically and bound
#           at once, so that no step is spent in the dynamic linker,
#   points  kills it at named places: with a library that has them.
# Their scenes stand in steps_NAME.c and points_NAME.c.
file(GLOB scenes CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/steps_*.c)
mproc_test(crash-steps mproc-static ${CMAKE_CURRENT_LIST_DIR}/steps.c ${CMAKE_CURRENT_LIST_DIR}/scene.c
        ${CMAKE_CURRENT_LIST_DIR}/stage.c ${scenes})
target_link_options(crash-steps PRIVATE -Wl,-z,now)

add_library(mproc-points STATIC ${MPROC_SOURCES})
mproc_compile_options(mproc-points)
target_include_directories(mproc-points PUBLIC ${PROJECT_SOURCE_DIR}/include PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(mproc-points PRIVATE MPROC_POINTS)
target_link_libraries(mproc-points PUBLIC ${MPROC_PRIVATE_LIBS})
if(MPROC_SANITIZE)
        target_link_options(mproc-points INTERFACE ${MPROC_SANITIZE_FLAGS})
endif()
file(GLOB scenes CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/points_*.c)
mproc_test(crash-points mproc-points ${CMAKE_CURRENT_LIST_DIR}/points.c ${CMAKE_CURRENT_LIST_DIR}/scene.c ${scenes})
