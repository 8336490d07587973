#!/bin/sh
# Do ali-oss and we agree on 1,000 signatures? Offline, but for the first installation of ali-oss.
#
#   run.sh SOURCE_FOLDER WORK_FOLDER COMPARE_PROGRAM
#
# SIGN_WITNESS_SEED and SIGN_WITNESS_COUNT draw other requests and another number of them. Exit
# status 77 says that the test could not run: no node, or ali-oss could not be installed.
set -eu
source=$1 work=$2 compare=$3
count=${SIGN_WITNESS_COUNT:-1000}

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "skipped: no node, no npm"
    exit 77
fi
mkdir -p "$work"
if ! cmp -s "$source/package.json" "$work/package.json" || [ ! -d "$work/node_modules/ali-oss" ]; then
    rm -f "$work/package.json"
    cp "$source/package.json" "$work/package.json.new"
    mkdir -p "$work/install" && cp "$source/package.json" "$work/install/package.json"
    (cd "$work/install" && npm install --no-package-lock --ignore-scripts --no-audit --no-fund --silent) ||
        { echo "skipped: npm could not install ali-oss"; exit 77; }
    rm -rf "$work/node_modules"
    mv "$work/install/node_modules" "$work/node_modules"
    mv "$work/package.json.new" "$work/package.json" # last: a torn installation is done again
fi
node "$source/requests.js" "$work" "$count" "${SIGN_WITNESS_SEED:-1}" >"$work/requests.jsonl"
"$compare" "$count" <"$work/requests.jsonl"
