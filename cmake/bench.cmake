# The benchmarks have rules of their own, for programs that link against peers; built by target bench only.

if(MPROC_TOP_LEVEL AND EXISTS ${PROJECT_SOURCE_DIR}/bench/CMakeLists.txt)
        add_subdirectory(${PROJECT_SOURCE_DIR}/bench ${PROJECT_BINARY_DIR}/bench EXCLUDE_FROM_ALL)
endif()
