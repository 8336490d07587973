#!/bin/sh
# The benchmarks: sh tests/bench/run.sh [NAME...]
#
#   OSSUP_BUILD          where to build; default: build/ in the clone
#   OSSUP_BENCH_DIR      where files and server lie; default: /dev/shm, which needs 4 GiB
#   OSSUP_BENCH_ROUNDS   how often each is measured; default: 3
#
#   upload   put beside curl --parallel
#   peers    a mount beside s3fs and rclone, some ten minutes; installs Debian's packages of them
#   early    how long after close a file is in the bucket that was written at a steady rate
#
# Without a name upload and peers are run. Each prints a table; only numbers of one run can be compared
# with each other. Do nothing else on the machine meanwhile.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
build=${OSSUP_BUILD:-$here/build}/bench

[ $# -gt 0 ] || set -- upload peers
case " $* " in
*" peers "*)
    if ! { command -v s3fs && command -v rclone; } >/dev/null; then
        if [ "$(id -u)" -ne 0 ]; then
            echo "s3fs or rclone is missing; install them as root: apt-get install s3fs rclone" >&2
            exit 1
        fi
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends s3fs rclone
    fi
    ;;
esac
sh "$here/packaging/install-deps.sh" test
cmake -S "$here" -B "$build" -G Ninja -D CMAKE_BUILD_TYPE=Release -D OSSUP_SERVER=ON >/dev/null
cmake --build "$build" --target ossfs-up oss-local-server >/dev/null

for name in "$@"; do
    /usr/bin/python3 -B "$here/tests/bench/$name.py" "$build"
    echo
done
