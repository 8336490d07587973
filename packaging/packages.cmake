# cmake --install, and packages of the same files: `cpack -G DEB` or `cpack -G RPM` in the build folder.
include(GNUInstallDirs)

install(FILES ${PROJECT_SOURCE_DIR}/packaging/man/ossfs-up.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/systemd/ossfs-up@.service
  DESTINATION lib/systemd/system)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/ossfs-up)

# mount(8) looks for helpers in /sbin and nowhere else; /usr/sbin is that very folder where a
# package puts it. Below another prefix the link is of use to tests only.
install(CODE [[
  if(CMAKE_INSTALL_PREFIX STREQUAL "/usr/local")
    set(sbin "$ENV{DESTDIR}/sbin")
    set(program "/usr/local/bin/ossfs-up")
  else()
    set(sbin "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/sbin")
    set(program "../bin/ossfs-up")
  endif()
  foreach(name mount.fuse.ossfs-up mount.ossfs-up)
    message(STATUS "Link: ${sbin}/${name} -> ${program}")
    file(MAKE_DIRECTORY "${sbin}")
    file(CREATE_LINK "${program}" "${sbin}/${name}" SYMBOLIC)
  endforeach()
]])

set(CPACK_PACKAGE_NAME ossfs-up)
set(CPACK_PACKAGE_VENDOR "ossfs-up")
set(CPACK_PACKAGE_CONTACT "ossfs-up maintainers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "mounts an Alibaba Cloud OSS bucket; uploads resume")
set(CPACK_PACKAGE_DESCRIPTION
  "What is copied into the mount is safe in a spool on the local disk and goes to
the bucket in parts; an interrupted upload goes on where it stopped.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "fuse3")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
mark_as_advanced(DPKG_SHLIBDEPS)
if(DPKG_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}) # libossup itself
endif()

set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE Apache-2.0)
set(CPACK_RPM_PACKAGE_REQUIRES "fuse3")
# Folders that belong to others, and links that two builds of one program would quarrel about.
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/sbin /usr/lib/systemd /usr/lib/systemd/system
  /usr/lib/cmake /usr/lib/pkgconfig /usr/share/man /usr/share/man/man1)
set(CPACK_RPM_SPEC_MORE_DEFINE "%define _build_id_links none")
include(CPack)
