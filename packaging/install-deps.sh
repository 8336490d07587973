#!/bin/sh
# Install what is missing for building the program, the local OSS server too, or the tests too. Debian 12.
#
# usage: packaging/install-deps.sh build|server|test
set -eu

build="cmake ninja-build gcc libc6-dev pkg-config fuse3 libfuse3-dev libcurl4-openssl-dev libssl-dev
    libxml2-dev libjson-c-dev liblzma-dev"
server="$build libmicrohttpd-dev"
test="$server libcmocka-dev g++ clang clang-format clang-tidy libclang-rt-dev cppcheck shellcheck codespell
    mandoc python3 python3-pytest rsync git sqlite3 attr procps xxd curl openssl vim tar rpm systemd"

case ${1:-build} in
build) wanted=$build ;;
server) wanted=$server ;;
test) wanted=$test ;;
*)
    echo "usage: $0 build|server|test" >&2
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
