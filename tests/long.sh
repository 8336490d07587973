#!/bin/sh
# The long campaigns, which the normal run has in small: sh tests/long.sh [PYTEST ARGUMENTS]
#
#   OSSUP_BUILD_DIR   a build with its tests; default: build/plain in the clone
#
# A test belongs to it that is named test_long_... and marked skipif("OSSUP_LONG" not in os.environ).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
OSSUP_BUILD_DIR=${OSSUP_BUILD_DIR:-$here/build/plain}
OSSUP_LONG=1
export OSSUP_BUILD_DIR OSSUP_LONG

# Also: clang-tidy over everything, and the suites that are too long or too random for the normal run.
ctest --test-dir "$OSSUP_BUILD_DIR" --output-on-failure \
    -R 'integration-(hang|space|kill|model|posix|put_killed)|style-tidy'

cd "$here/tests/integration"
exec /usr/bin/python3 -B -m pytest -q -p no:cacheprovider -k test_long "$@"
