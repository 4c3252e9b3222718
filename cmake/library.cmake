# The library, shared and static out of the same position-independent objects, and mproc-exec.

# Layer by layer, as ARCHITECTURE.md has them: so what a newborn child runs through lies close together, and
# it pays for few page faults.
set(MPROC_SOURCES)
foreach(layer core platform wire program tracker start context shm sync memory process channel pool)
        file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${layer}/*.c)
        list(APPEND MPROC_SOURCES ${sources})
endforeach()
list(FILTER MPROC_SOURCES EXCLUDE REGEX "_test\\.c$")
foreach(system linux darwin)
        string(TOLOWER ${CMAKE_SYSTEM_NAME} this_system)
        if(MPROC_PORTABLE OR NOT system STREQUAL this_system)
                list(FILTER MPROC_SOURCES EXCLUDE REGEX "/platform/${system}/")
        endif()
endforeach()
if(NOT MPROC_PORTABLE)
        list(FILTER MPROC_SOURCES EXCLUDE REGEX "/platform/portable/")
endif()

# Where old systems keep what is in libc today; empty archives on new ones.
set(MPROC_PRIVATE_LIBS Threads::Threads ${CMAKE_DL_LIBS})

add_library(mproc-objects OBJECT ${MPROC_SOURCES})
set_target_properties(mproc-objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
mproc_compile_options(mproc-objects)
target_include_directories(mproc-objects PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_definitions(mproc-objects PRIVATE MPROC_EXEC_PATH="${CMAKE_INSTALL_FULL_BINDIR}/mproc-exec")

add_library(mproc SHARED $<TARGET_OBJECTS:mproc-objects>)
add_library(mproc-static STATIC $<TARGET_OBJECTS:mproc-objects>)
add_library(mproc::mproc ALIAS mproc)
add_library(mproc::static ALIAS mproc-static)

foreach(library mproc mproc-static)
        set_target_properties(${library} PROPERTIES OUTPUT_NAME mproc LINKER_LANGUAGE C)
        target_include_directories(${library} PUBLIC
                $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
target_link_libraries(mproc PRIVATE ${MPROC_PRIVATE_LIBS})
target_link_libraries(mproc-static PUBLIC ${MPROC_PRIVATE_LIBS})
set_target_properties(mproc-static PROPERTIES EXPORT_NAME static)

# The name that the linker and packages know: libmproc.so.0, symbols at MPROC_0.1.
set_target_properties(mproc PROPERTIES
        VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
        LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/mproc.map)
# All symbols are bound when the library is loaded: bound later, they would be bound anew in each forked child.
# Variables are sorted by their sections' names: see start/boot.c.
target_link_options(mproc PRIVATE -Wl,--sort-section=name -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/mproc.map -Wl,-z,now
        ${MPROC_SANITIZE_FLAGS})
if(NOT MPROC_SANITIZE) # all it needs is found when it is linked, not when somebody uses it
        target_link_options(mproc PRIVATE -Wl,-z,defs)
endif()
if(MPROC_SANITIZE) # Whoever links the archive needs the run-time too.
        target_link_options(mproc-static INTERFACE ${MPROC_SANITIZE_FLAGS})
endif()

# Linked to the shared library: what it loads for a host program uses that one too.
add_executable(mproc-exec ${PROJECT_SOURCE_DIR}/helpers/mproc_exec.c)
mproc_compile_options(mproc-exec)
target_link_libraries(mproc-exec PRIVATE mproc)
set_target_properties(mproc-exec PROPERTIES EXPORT_NAME exec)
add_executable(mproc::exec ALIAS mproc-exec)
