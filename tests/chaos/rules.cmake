# One program of several files; crews stand in crew_NAME.c.
file(GLOB crews CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/crew_*.c)
mproc_test(chaos mproc ${CMAKE_CURRENT_LIST_DIR}/chaos.c ${crews})

# Pools are struck by a conductor of their own.
mproc_test(chaos-pool mproc ${CMAKE_CURRENT_LIST_DIR}/pool_storm.c)
