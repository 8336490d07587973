set(test_file_WRAP renameat fsync write)
set(test_journal_WRAP renameat fdatasync fsync pwrite64 ftruncate64)
# The promise about ranks is that of debug builds: test it in every build.
set(test_mutex_SOURCES base/mutex.c)
set(test_mutex_DEFINITIONS -UNDEBUG)
