# Each examples/NAME.c is a program; a folder with a CMakeLists.txt of its own may ask for more than libc.

file(GLOB examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.c)
foreach(source ${examples})
        get_filename_component(name ${source} NAME_WE)
        add_executable(example-${name} ${source})
        mproc_compile_options(example-${name})
        target_link_libraries(example-${name} PRIVATE mproc Threads::Threads)
        set_target_properties(example-${name} PROPERTIES OUTPUT_NAME ${name}
                RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples ENABLE_EXPORTS OFF)
endforeach()

file(GLOB folders CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*/CMakeLists.txt)
foreach(folder ${folders})
        get_filename_component(folder ${folder} DIRECTORY)
        add_subdirectory(${folder})
endforeach()
