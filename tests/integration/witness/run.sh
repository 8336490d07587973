#!/bin/sh
# Drive the local OSS server with ali-oss, the official client: run.sh BUILD_DIR
#
# Installs ali-oss (install.sh), starts a server of its own in a
# temporary folder, runs witness.test.mjs, and cleans up however that ends.
set -eu

build=$1
here=$(cd "$(dirname "$0")" && pwd)
modules=$build/tests/integration/witness
server=$build/tests/server/oss-local-server

sh "$here/install.sh" "$build"

work=$(mktemp -d)
pid=
finish() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" || {
            echo "the server ended with status $?" >&2
            status=1
        }
    fi
    if [ "$status" -ne 0 ]; then
        cat "$work/server.err" >&2 || true
        tail -n 20 "$work/request.log" >&2 || true
    fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT INT TERM

"$server" --root "$work/root" --port 0 --bucket witness --domain oss.test --request-log \
    "$work/request.log" --access-key witness-key --secret witness-secret \
    --sts sts-key:sts-secret:sts-token --sts old-key:old-secret:old-token:1000 \
    >"$work/server.out" 2>"$work/server.err" &
pid=$!
while [ ! -s "$work/server.out" ]; do
    kill -0 "$pid" 2>/dev/null || {
        echo "the server did not start" >&2
        exit 1
    }
    sleep 0.05
done

WITNESS_PORT=$(sed 's/.*://' "$work/server.out")
export WITNESS_PORT WITNESS_MODULES="$modules" WITNESS_LOG="$work/request.log" WITNESS_WORK="$work"
node "$here/witness.test.mjs"
