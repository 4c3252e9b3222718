# mproc_compile_options(target): how all our C is compiled.  Nothing here reaches a user's target.

set(MPROC_WARNINGS -Wall -Wextra -Wpedantic -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wundef
        -Wpointer-arith -Wwrite-strings -Wformat=2 -Wvla)

if(MPROC_SANITIZE)
        set(MPROC_SANITIZE_FLAGS -fsanitize=${MPROC_SANITIZE} -fno-omit-frame-pointer)
        if(MPROC_SANITIZE MATCHES "undefined")
                list(APPEND MPROC_SANITIZE_FLAGS -fno-sanitize-recover=undefined)
        endif()
endif()

function(mproc_compile_options target)
        set_target_properties(${target} PROPERTIES
                C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON
                C_VISIBILITY_PRESET hidden
                EXPORT_COMPILE_COMMANDS ON)
        target_compile_definitions(${target} PRIVATE _GNU_SOURCE=)
        target_compile_options(${target} PRIVATE ${MPROC_WARNINGS} ${MPROC_SANITIZE_FLAGS})
        if(MPROC_POINTS)
                target_compile_definitions(${target} PRIVATE MPROC_POINTS)
        endif()
        if(MPROC_PORTABLE)
                target_compile_definitions(${target} PRIVATE MPROC_PORTABLE)
        endif()
        if(MPROC_WERROR)
                target_compile_options(${target} PRIVATE -Werror)
        endif()
        get_target_property(type ${target} TYPE)
        if(NOT type STREQUAL "OBJECT_LIBRARY" AND NOT type STREQUAL "STATIC_LIBRARY")
                target_link_options(${target} PRIVATE ${MPROC_SANITIZE_FLAGS})
        endif()
endfunction()
