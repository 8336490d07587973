#!/bin/sh
# The long campaigns, which the normal run has in small: sh tests/long.sh [PYTEST ARGUMENTS]
#
#   OSSUP_BUILD_DIR   a build with its tests; default: build/plain in the clone
#
# A test belongs to it that is named test_long_... and marked skipif("OSSUP_LONG" not in os.environ).
# Before these, clang-tidy looks at every function as long as its analyzer does by default.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
OSSUP_BUILD_DIR=${OSSUP_BUILD_DIR:-$here/build/plain}
OSSUP_LONG=1
export OSSUP_BUILD_DIR OSSUP_LONG

python3 "$here/tests/check_tidy.py" clang-tidy "$OSSUP_BUILD_DIR" --extra-arg=-Xclang \
    --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=225000

cd "$here/tests/integration"
exec /usr/bin/python3 -B -m pytest -q -p no:cacheprovider -k test_long "$@"
