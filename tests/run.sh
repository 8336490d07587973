#!/bin/sh
# Install what the tests need, build, and run all tests: sh tests/run.sh
#
#   OSSUP_BUILD   where to build; default: build/ in the clone
#   OSSUP_JOBS    how many at once; default: the machine's processors
#
# Three builds: plain (warnings are errors, clang-format, unit and integration tests), address+undefined
# sanitizers and thread sanitizer (unit tests). The last line is "N passed, N failed". clang-tidy and
# the suites that take long or hunt at random run by tests/long.sh.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${OSSUP_BUILD:-$here/build}
jobs=${OSSUP_JOBS:-$(nproc)}

"$here/packaging/install-deps.sh" test

passed=0
failed=0

# Adds ctest's counts of one build to the totals; a build that fails counts as one failure.
run_suite() { # name, ctest arguments...
    name=$1
    shift
    log=$build/$name-tests.log
    if ! cmake --build "$build/$name" -j "$jobs" >"$build/$name-build.log" 2>&1; then
        tail -n 60 "$build/$name-build.log"
        echo "$name: the build failed"
        failed=$((failed + 1))
        return
    fi
    ctest --test-dir "$build/$name" -j "$jobs" --output-on-failure --no-tests=error \
        --repeat until-pass:2 "$@" 2>&1 |
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

configure() { # name, cmake arguments...
    name=$1
    shift
    mkdir -p "$build/$name"
    cmake -S "$here" -B "$build/$name" -G Ninja -D OSSUP_WERROR=ON "$@" \
        >"$build/$name-configure.log" 2>&1 || {
        cat "$build/$name-configure.log"
        echo "$name: the configuration failed"
        failed=$((failed + 1))
        return 1
    }
}

longer='integration-(hang|space|kill|model|posix|put_killed)'

if configure plain; then run_suite plain -LE tidy -E "$longer"; fi
if configure asan -D OSSUP_SANITIZE=asan -D CMAKE_BUILD_TYPE=Debug; then
    run_suite asan -L unit
fi
if configure tsan -D OSSUP_SANITIZE=tsan -D CMAKE_BUILD_TYPE=Debug; then
    run_suite tsan -L unit
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
