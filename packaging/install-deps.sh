#!/bin/sh
# Install what building (and, with "test", testing) needs, if it is missing. Debian 12.
#
# usage: packaging/install-deps.sh build|test
set -eu

build="cmake ninja-build gcc libc6-dev pkg-config fuse3 libfuse3-dev libcurl4-openssl-dev libssl-dev
    libxml2-dev libjson-c-dev liblzma-dev libmicrohttpd-dev libcmocka-dev"
test="g++ clang clang-format clang-tidy python3 python3-pytest rsync git sqlite3 attr mandoc cppcheck
    shellcheck codespell libclang-rt-dev procps xxd curl openssl vim-tiny tar"

case ${1:-build} in
build) wanted=$build ;;
test) wanted="$build $test" ;;
*)
    echo "usage: $0 build|test" >&2
    exit 2
    ;;
esac

missing=
for package in $wanted; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
        missing="$missing $package"
    fi
done
# Node.js may come from Debian (nodejs, npm) or from elsewhere: what counts is that it runs.
if [ "${1:-build}" = test ] && ! { command -v node && command -v npm; } >/dev/null 2>&1; then
    missing="$missing nodejs npm"
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "these packages are missing; install them as root: apt-get install$missing" >&2
    exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of words
apt-get install -y -q --no-install-recommends $missing
