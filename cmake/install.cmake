# What make install puts where.  Everything follows the prefix given at install time, except the
# path of mproc-exec in one error message, which is that of the prefix given when configuring.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mproc)

# The dynamic linker looks into /usr and /usr/local by itself.
if(NOT CMAKE_INSTALL_PREFIX MATCHES "^/usr(/local)?$")
        file(RELATIVE_PATH up /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
        set_target_properties(mproc-exec PROPERTIES INSTALL_RPATH "$ORIGIN/${up}")
endif()

install(TARGETS mproc mproc-static mproc-exec EXPORT mproc
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/mproc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

# --- CMake: find_package(mproc) gives mproc::mproc, mproc::static and mproc::exec

install(EXPORT mproc NAMESPACE mproc:: FILE mprocTargets.cmake DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/mprocConfig.cmake.in
        ${PROJECT_BINARY_DIR}/mprocConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mprocConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mprocConfig.cmake ${PROJECT_BINARY_DIR}/mprocConfigVersion.cmake
        DESTINATION ${package_dir})

# --- pkg-config: written when installing, because it holds the prefix

set(private_libs "-pthread")
foreach(library ${CMAKE_DL_LIBS})
        string(APPEND private_libs " -l${library}")
endforeach()
foreach(kind LIBDIR INCLUDEDIR BINDIR)
        set(${kind} ${CMAKE_INSTALL_${kind}})
        if(NOT IS_ABSOLUTE ${${kind}})
                string(PREPEND ${kind} "\\\${prefix}/")
        endif()
endforeach()
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(NOT IS_ABSOLUTE ${pc_dir})
        string(PREPEND pc_dir "\${CMAKE_INSTALL_PREFIX}/")
endif()
install(CODE "
        set(PREFIX \"\${CMAKE_INSTALL_PREFIX}\")
        set(LIBDIR \"${LIBDIR}\")
        set(INCLUDEDIR \"${INCLUDEDIR}\")
        set(BINDIR \"${BINDIR}\")
        set(VERSION \"${PROJECT_VERSION}\")
        set(DESCRIPTION \"${PROJECT_DESCRIPTION}\")
        set(LIBS_PRIVATE \"${private_libs}\")
        configure_file(\"${PROJECT_SOURCE_DIR}/cmake/mproc.pc.in\" \"\$ENV{DESTDIR}${pc_dir}/mproc.pc\" @ONLY)
        message(STATUS \"Installing: \$ENV{DESTDIR}${pc_dir}/mproc.pc\")")

# --- manual: the pages, and for each function a page tells of, a page of that name which leads there

file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.[1-9])
foreach(page ${pages})
        get_filename_component(file ${page} NAME)
        string(REGEX REPLACE ".*\\.([1-9])$" "\\1" section ${file})
        install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
        file(STRINGS ${page} names REGEX "^\\.Nm [A-Za-z0-9_-]+")
        foreach(line ${names})
                string(REGEX REPLACE "^\\.Nm ([A-Za-z0-9_-]+).*" "\\1" name ${line})
                if(NOT EXISTS ${PROJECT_SOURCE_DIR}/man/${name}.${section})
                        file(WRITE ${PROJECT_BINARY_DIR}/man/${name}.${section} ".so man${section}/${file}\n")
                        install(FILES ${PROJECT_BINARY_DIR}/man/${name}.${section}
                                DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
                endif()
        endforeach()
endforeach()
