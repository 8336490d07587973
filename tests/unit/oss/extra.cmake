# Tests of the client speak to the local server, a process of its own (server.c).
add_compile_definitions(OSSUP_SERVER="$<TARGET_FILE:oss-local-server>")
cmake_language(DEFER CALL add_dependencies unit-oss-ops oss-local-server)
cmake_language(DEFER CALL add_dependencies unit-oss-faults oss-local-server)
cmake_language(DEFER CALL add_dependencies unit-oss-patience oss-local-server)
cmake_language(DEFER CALL add_dependencies unit-oss-secure oss-local-server)
cmake_language(DEFER CALL add_dependencies unit-oss-parallel oss-local-server)
cmake_language(DEFER CALL add_dependencies unit-oss-matrix oss-local-server)
set(test_secure_LIBS PkgConfig::CRYPTO)
