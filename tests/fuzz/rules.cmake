# Each fuzz_NAME.c is a fuzz target.  Here it is a program that feeds it its seeds, whole and damaged; with
# MPROC_FUZZ (tests/fuzz/fuzz.sh) it is made for libFuzzer.
option(MPROC_FUZZ "Fuzz targets for libFuzzer: clang, with fuzzer-no-link in MPROC_SANITIZE" OFF)
file(GLOB targets CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/fuzz_*.c)
foreach(source ${targets})
        get_filename_component(name ${source} NAME_WE)
        string(REPLACE "fuzz_" "" short ${name})
        mproc_program(fuzz-${short} mproc-static ${source} ${CMAKE_CURRENT_LIST_DIR}/main.c)
        target_include_directories(fuzz-${short} PRIVATE ${PROJECT_SOURCE_DIR}/src)
        if(MPROC_FUZZ)
                target_compile_definitions(fuzz-${short} PRIVATE FUZZ_LIBFUZZER)
                target_link_options(fuzz-${short} PRIVATE -fsanitize=fuzzer)
        else()
                add_test(NAME fuzz-${short} COMMAND fuzz-${short} ${CMAKE_CURRENT_LIST_DIR}/seeds/${short})
                set_tests_properties(fuzz-${short} PROPERTIES TIMEOUT 600
                        ENVIRONMENT ASAN_OPTIONS=detect_leaks=0) # what an argument getter leaves that ends the child
        endif()
endforeach()
