# src/cli is no library: a test names what it needs of it.
set(test_put_progress_SOURCES cli/put_progress.c cli/render.c)
set(test_put_progress_LIBS ossup_base)
set(test_options_SOURCES cli/options.c cli/aliases.c cli/conf.c)
set(test_options_LIBS ossup_base)
