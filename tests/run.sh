#!/bin/sh
# Install what the tests need, build, and run all tests: sh tests/run.sh
#
#   OSSUP_BUILD   where to build; default: build/ in the clone
#   OSSUP_JOBS    how many tests at once; default: twice as many as the machine has processors,
#                 because most of a test is waiting: for a disk, a timer, a process
#
# Three builds, and what runs in each:
#   plain   everything: unit and integration tests, the local server's own tests and its witness, seeds
#           of the fuzz targets, warnings as errors, clang-format, clang-tidy, shellcheck, the man page
#   asan    (addresses, leaks, undefined behaviour) the same without the checks of the source
#   tsan    (threads) unit tests, and the integration tests that have the daemon do much at once
# Some integration tests are smaller in the last two: Build.smaller() in ossup_testlib.
#
# No test is run twice. The last line is "N passed, N failed". What takes hours is tests/long.sh's.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${OSSUP_BUILD:-$here/build}
processors=$(nproc)
jobs=${OSSUP_JOBS:-$((2 * processors))}

"$here/packaging/install-deps.sh" test

niceness=0
passed=0
failed=0

configure_and_build() { # name, cmake arguments...
    name=$1
    shift
    mkdir -p "$build/$name"
    rm -f "$build/$name-built"
    {
        nice -n "$niceness" cmake -S "$here" -B "$build/$name" -G Ninja -D OSSUP_TESTS=ON \
            -D OSSUP_WERROR=ON "$@" &&
            nice -n "$niceness" cmake --build "$build/$name" -j "$processors" &&
            touch "$build/$name-built"
    } >"$build/$name-build.log" 2>&1 || true
}

# Adds ctest's counts of one build to the totals; a build that failed counts as one failure.
run_suite() { # name, ctest arguments...
    name=$1
    shift
    log=$build/$name-tests.log
    if [ ! -e "$build/$name-built" ]; then
        tail -n 60 "$build/$name-build.log"
        echo "$name: the build failed"
        failed=$((failed + 1))
        return
    fi
    ctest --test-dir "$build/$name" -j "$jobs" --output-on-failure --no-tests=error "$@" 2>&1 |
        tee "$log" || true
    total=$(sed -n 's/^.* tests failed out of \([0-9]*\)$/\1/p' "$log")
    bad=$(sed -n 's/^.*, \([0-9]*\) tests failed out of [0-9]*$/\1/p' "$log")
    if [ -z "$total" ]; then
        echo "$name: ctest gave no summary"
        failed=$((failed + 1))
        return
    fi
    passed=$((passed + total - bad))
    failed=$((failed + bad))
}

configure_and_build plain
# The other two are built in the gaps that the tests of the first one leave.
(
    niceness=5
    configure_and_build asan -D OSSUP_SANITIZE=asan -D CMAKE_BUILD_TYPE=Debug
    configure_and_build tsan -D OSSUP_SANITIZE=tsan -D CMAKE_BUILD_TYPE=Debug
) &
run_suite plain
wait
run_suite asan -LE style
run_suite tsan -L 'unit|threads'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
