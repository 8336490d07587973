#!/bin/sh
# Install ali-oss, the official Node client, below BUILD_DIR if it is not there yet: install.sh BUILD_DIR
# Safe to be run by several tests at once.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
modules=$1/tests/integration/witness

mkdir -p "$modules"
exec 9>"$modules/install.lock"
flock 9
if ! cmp -s "$here/package.json" "$modules/package.json"; then
    echo "installing ali-oss"
    rm -rf "$modules/node_modules" "$modules/install"
    mkdir "$modules/install"
    cp "$here/package.json" "$modules/install/"
    (cd "$modules/install" &&
        npm install --no-package-lock --ignore-scripts --no-audit --no-fund --silent) || {
        echo "npm could not install ali-oss" >&2
        exit 1
    }
    mv "$modules/install/node_modules" "$modules/node_modules"
    mv "$modules/install/package.json" "$modules/package.json" # last: it says that all is there
fi
