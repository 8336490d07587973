# libossup: what include/ossup exports, for any program. Shared, static, pkg-config, CMake package.
#
# The layers' archives go in as far as the API needs them. Nothing of ours but ossup_* is visible:
# the shared library has a version script; the static one is linked into a single object whose
# hidden symbols are made local, so that it cannot clash with a program's own.
set(api transfer/ossup.c transfer/ossup_upload.c)
set(version_script ${CMAKE_CURRENT_SOURCE_DIR}/transfer/ossup.map)

add_library(ossup SHARED ${api})
target_include_directories(ossup PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(ossup PRIVATE ossup_transfer ossup_flags)
target_link_options(ossup PRIVATE -Wl,--version-script=${version_script}
  $<$<NOT:$<BOOL:${OSSUP_SANITIZE}>>:-Wl,--no-undefined>)
set_target_properties(ossup PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LINK_DEPENDS ${version_script} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

add_library(ossup_api OBJECT ${api})
target_link_libraries(ossup_api PRIVATE ossup_transfer ossup_flags)
set(archive ${CMAKE_BINARY_DIR}/libossup.a)
set(whole ${CMAKE_CURRENT_BINARY_DIR}/libossup-whole.o)
add_custom_command(OUTPUT ${archive}
  COMMAND ${CMAKE_LINKER} -r -o ${whole} $<TARGET_OBJECTS:ossup_api>
    $<TARGET_FILE:ossup_transfer> $<TARGET_FILE:ossup_oss> $<TARGET_FILE:ossup_base>
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${whole}
  COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
  COMMAND ${CMAKE_AR} rcs ${archive} ${whole}
  DEPENDS ossup_api $<TARGET_OBJECTS:ossup_api> ossup_transfer ossup_oss ossup_base
  COMMENT "Linking libossup.a" COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(ossup_static ALL DEPENDS ${archive})

# What a static program must link besides; the same list in each language.
set(OSSUP_REQUIRES "libcurl libcrypto libxml-2.0 json-c liblzma")
# From where the file lies: the prefix may be another one at installation.
file(RELATIVE_PATH OSSUP_PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" OSSUP_PREFIX_FROM_PC ${OSSUP_PREFIX_FROM_PC})
configure_file(${PROJECT_SOURCE_DIR}/packaging/ossup.pc.in ossup.pc @ONLY)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ossup)
configure_package_config_file(${PROJECT_SOURCE_DIR}/packaging/ossup-config.cmake.in
  ossup-config.cmake INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_LIBDIR
  CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(ossup-config-version.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS ossup EXPORT ossup-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  COMPONENT library NAMELINK_COMPONENT development)
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ossup DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT development FILES_MATCHING PATTERN *.h)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ossup.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(EXPORT ossup-targets NAMESPACE ossup:: DESTINATION ${package_dir} COMPONENT development)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ossup-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/ossup-config-version.cmake
  DESTINATION ${package_dir} COMPONENT development)
