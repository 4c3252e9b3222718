# mproc-bench-heap: blocks in shared memory.  Its only peer beside libc is Boost.Interprocess, which is looked for above.
add_executable(mproc-bench-heap heap/main.c heap/contenders.c crew.c figures.c)
target_link_libraries(mproc-bench-heap PRIVATE mproc::mproc)
target_include_directories(mproc-bench-heap PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(mproc-bench-heap PRIVATE -Wall -Wextra)
if(BENCH_BOOST_IPC)
        target_sources(mproc-bench-heap PRIVATE peers/boost_heap.cc)
        target_compile_definitions(mproc-bench-heap PRIVATE BENCH_HAVE_BOOST_IPC)
        file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/peers-heap.txt "Peers: Boost.Interprocess\n")
else()
        file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/peers-heap.txt
                "Peers: none\nMissing peers, left out: Boost.Interprocess (Debian: libboost-dev and g++)\n")
endif()
