#!/bin/sh
# The benchmarks: sh tests/bench/run.sh [NAME...]
#
#   OSSUP_BUILD          where to build; default: build/ in the clone
#   OSSUP_BENCH_DIR      where files and server lie; default: /dev/shm, which needs 3 GiB
#   OSSUP_BENCH_ROUNDS   how often each is measured; default: 3
#
# NAME.py is a benchmark; without a name all are run. Each prints a table; numbers of one run are
# compared with each other only. Do nothing else on the machine meanwhile.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
build=${OSSUP_BUILD:-$here/build}/bench

"$here/packaging/install-deps.sh" test
cmake -S "$here" -B "$build" -G Ninja -D CMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" --target ossfs-up oss-local-server >/dev/null

[ $# -gt 0 ] || set -- upload
for name in "$@"; do
    /usr/bin/python3 -B "$here/tests/bench/$name.py" "$build"
    echo
done
