#!/bin/sh
# Try ossfs-up in one command: sh packaging/quickstart.sh
#
# Installs what is missing, builds, starts the local OSS server on a directory, mounts a bucket
# from it and shows the main job. With OSS_ENDPOINT, OSS_BUCKET, OSS_ACCESS_KEY_ID and
# OSS_ACCESS_KEY_SECRET in the environment it mounts that bucket instead. Run again, it begins anew.
# Root is needed only where packages are missing.
#
#   QUICKSTART_DIR   where all of it lies; default: build/quickstart/run
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${OSSUP_BUILD:-$here/build}/quickstart
dir=${QUICKSTART_DIR:-$build/run}
mnt=$dir/mnt
ossup=$build/ossfs-up
log=$build/build.log

say() {
    printf '\n== %s\n' "$*"
}

run() {
    printf '$ %s\n' "$*"
    "$@"
}

die() {
    echo "quickstart: $*" >&2
    exit 1
}

say "1. what building needs"
"$here/packaging/install-deps.sh" server
[ -e /dev/fuse ] || die "/dev/fuse is missing; as root: modprobe fuse"
[ -w /dev/fuse ] || die "/dev/fuse is not for you; as root: chmod 666 /dev/fuse, or run this as root"
[ "$(id -u)" -eq 0 ] || [ -u "$(command -v fusermount3)" ] ||
    die "only root can mount here: fusermount3 is not setuid"

say "2. build"
mkdir -p "$build"
cmake -S "$here" -B "$build" -G Ninja -D OSSUP_SERVER=ON >"$log" 2>&1 ||
    { cat "$log"; die "the configuration failed"; }
cmake --build "$build" --target ossfs-up oss-local-server >>"$log" 2>&1 ||
    { tail -n 40 "$log"; die "the build failed"; }
mkdir -p "$dir" "$mnt"
for mounted in "$mnt" "$dir/elsewhere"; do
    if grep -q " $mounted fuse.ossfs-up " /proc/self/mounts; then
        fusermount3 -u -z "$mounted" # of the last time, or what a killed daemon left
    fi
done

if [ -n "${OSS_ACCESS_KEY_ID:-}" ] && [ -n "${OSS_ENDPOINT:-}" ] && [ -n "${OSS_BUCKET:-}" ] &&
    [ -n "${OSS_ACCESS_KEY_SECRET:-}" ]; then
    say "3. your bucket: $OSS_BUCKET at $OSS_ENDPOINT; two files go into $OSS_BUCKET/quickstart-$$"
    bucket=$OSS_BUCKET
    place=quickstart-$$
    server=
else
    say "3. a local OSS server, its objects in $dir/server"
    if [ -n "${OSS_ACCESS_KEY_ID:-}" ]; then
        echo "(your keys are not used: OSS_ENDPOINT, OSS_BUCKET and a secret do not stand beside them)"
    fi
    last=$(cat "$dir/server.pid" 2>/dev/null || echo none)
    if grep -q oss-local-server "/proc/$last/cmdline" 2>/dev/null; then
        kill "$last"
    fi
    bucket=quickstart
    place=hello
    OSS_ACCESS_KEY_ID=quickstart-key
    OSS_ACCESS_KEY_SECRET=quickstart-secret
    OSS_REGION=cn-hangzhou
    export OSS_ACCESS_KEY_ID OSS_ACCESS_KEY_SECRET OSS_REGION
    mkdir -p "$dir/server"
    : >"$dir/server.out"
    : >"$dir/requests.log"
    "$build/tests/server/oss-local-server" --root "$dir/server" --port 0 --bucket "$bucket" \
        --access-key "$OSS_ACCESS_KEY_ID" --secret "$OSS_ACCESS_KEY_SECRET" \
        --region "$OSS_REGION" --request-log "$dir/requests.log" \
        >"$dir/server.out" 2>"$dir/server.err" </dev/null &
    server=$!
    echo "$server" >"$dir/server.pid"
    until grep -q '^listening on ' "$dir/server.out"; do
        kill -0 "$server" 2>/dev/null || { cat "$dir/server.err"; die "the server did not start"; }
    done
    OSS_ENDPOINT=$(sed -n 's/^listening on //p' "$dir/server.out")
    export OSS_ENDPOINT
    echo "OSS_ENDPOINT=$OSS_ENDPOINT"
fi

say "4. mount"
run "$ossup" "$bucket" "$mnt" -o "spool=$dir/spool"

say "5. copy in; the file is safe in the spool when cp returns"
mkdir -p "$mnt/$place"
head -c 20000000 /dev/urandom >"$dir/sample.bin"
run cp "$dir/sample.bin" "$mnt/$place/sample.bin"
run cp "$here/README.md" "$mnt/$place/README.md"
run "$ossup" status "$mnt"

say "6. wait until it is in the bucket"
run "$ossup" sync "$mnt"
run "$ossup" status "$mnt"

say "7. read back"
run cmp "$dir/sample.bin" "$mnt/$place/sample.bin"

if [ -n "$server" ]; then
    say "what the bucket was asked so far, by operation"
    sed -n 's/.*"operation":"\([A-Za-z0-9]*\)".*/\1/p' "$dir/requests.log" | sort | uniq -c
fi

say "8. what lies in the bucket, as another machine sees it"
mkdir -p "$dir/elsewhere"
run "$ossup" "$bucket" "$dir/elsewhere" -o "ro,spool=$dir/spool-elsewhere"
run ls -l "$dir/elsewhere/$place"
run fusermount3 -u "$dir/elsewhere"

say "mounted: $mnt"
cat <<END
Use it like any directory.
  state:  $ossup status $mnt
  to end: fusermount3 -u $mnt${server:+ && kill $server}
  and to leave nothing behind: rm -r $dir
END
if [ -z "$server" ]; then
    echo "The files of this run are in $bucket/$place: rm -r $mnt/$place before that removes them."
fi
