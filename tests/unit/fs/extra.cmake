# The bucket in memory of the spool's tests, and listings of it.
include(${CMAKE_CURRENT_SOURCE_DIR}/spool/extra.cmake)
set(test_resolve_WRAP ${SPOOL_WRAP} oss_list_objects ou_mutex_unlock)
