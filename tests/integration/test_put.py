"""put: its words, what it says, and that an interruption costs no more than was in flight."""

import os
import pty
import random
import signal
import subprocess

import pytest

from ossup_testlib.proc import open_files
from ossup_testlib.put import Put
from ossup_testlib.wait import PATIENCE, wait_until

KB, MB = 1 << 10, 1 << 20
PART = 100 * KB
SUFFIX = ".ossup-ckpt"


@pytest.fixture
def put(build, server, folder):
    return Put(build, server, folder)


@pytest.fixture
def make_file(folder):
    def make(name, size):
        path = folder / name
        path.write_bytes(random.Random(name).randbytes(size))
        return path

    return make


def checkpoints(folder):
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))


def parts_there(server, count, key="key"):
    wait_until(f"{count} parts are there", lambda: len(server.sent_parts(key)) >= count)


def assert_nothing_left(bucket, folder):
    assert bucket.uploads() == []
    assert checkpoints(folder) == []


# -- words --


def test_sizes_and_requests(put, server, bucket, folder, make_file):
    """size: how many parts; 0: one PutObject"""
    for size, parts in {0: 0, 1: 0, PART: 0, PART + 1: 2, 5 * PART: 5}.items():
        path = make_file(f"f{size}", size)
        server.clear_log()
        assert put.ok("-p", "100K", path, "oss://bucket/key") == ""
        counts = server.counts()
        assert all(entry["in_flight"] <= 3 for entry in server.log())
        if parts:
            assert counts == {
                "InitiateMultipartUpload": 1, "UploadPart": parts, "CompleteMultipartUpload": 1
            }
        else:
            assert counts == {"PutObject": 1}
        assert bucket.get("key") == path.read_bytes()
        assert_nothing_left(bucket, folder)


def test_keys(put, bucket, make_file, folder):
    one, two = make_file("one", 1), make_file("two", 2)
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "d" / "e" / "f").write_text("f")
    (folder / "d" / "g").write_text("g")
    (folder / "d" / ("old.0123456789abcdef" + SUFFIX)).write_text("a checkpoint is no content")
    put.ok(one, "oss://bucket/k1")
    put.ok(one, "oss://bucket/k2/")
    put.ok(one, two, "oss://bucket/k3")
    put.ok("-r", "d", "oss://bucket/k4")
    put.ok("-r", "d", one, "oss://bucket/k5/")
    put.ok("-r", "d/.", "oss://bucket/k6/")
    put.ok("-r", folder / "d" / "e", "oss://bucket")
    assert bucket.keys() == sorted([
        "k1", "k2/one", "k3/one", "k3/two", "k4/e/f", "k4/g", "k5/d/e/f", "k5/d/g", "k5/one",
        "k6/e/f", "k6/g", "e/f",
    ])
    assert bucket.get("k4/e/f") == b"f"


def test_standard_input(put, server, bucket, folder, make_file):
    big = make_file("big", 4 * PART + 3)
    put.env["TMPDIR"] = str(folder)
    with open(big, "rb") as stdin:
        put.ok("-p", "100K", "-", "oss://bucket/key", stdin=stdin)
    assert bucket.get("key") == big.read_bytes()
    put.ok("-", "oss://bucket/small", input="text")
    assert bucket.get("small") == b"text"
    assert "whole KEY" in put.refused("-", "oss://bucket/p/", status=2)
    assert sorted(p.name for p in folder.iterdir() if p.is_file()) == ["big"]


def test_metadata(put, bucket, make_file):
    path = make_file("f", 3 * PART)
    os.utime(path, ns=(0, 1234567890123456789))
    path.chmod(0o604)
    put.ok("-p", "100K", "-a", "--meta", "Color=blue", "--meta", "n=a=b", "--content-type",
           "text/x-test", "-o", "storage_class=IA", path, "oss://bucket/key")
    assert bucket.meta("key") == {
        "mode": str(0o100604), "uid": str(os.getuid()), "gid": str(os.getgid()),
        "mtime": "1234567890.123456789", "color": "blue", "n": "a=b",
    }
    head = bucket.head("key")
    assert head["content-type"] == "text/x-test"
    assert head["x-oss-storage-class"] == "IA"
    put.ok(path, "oss://bucket/plain")
    assert bucket.meta("plain") == {}


def test_what_it_says(put, make_file):
    path = make_file("f", 5 * PART)
    assert put.ok("-p", "100K", path, "oss://bucket/quiet") == ""
    lines = put.ok("-v", "-p", "100K", "-t", "1", path, "oss://bucket/key").splitlines()
    assert lines[:5] == [f"{path}: part {n} of 5, 100.0 KiB" for n in range(1, 6)]
    assert lines[5] == f"{path}: oss://bucket/key"
    assert lines[6].startswith("1 file, 500.0 KiB, in ")
    assert len(lines) == 7


def test_bar_on_a_terminal(put, server, bucket, make_file):
    paths = [make_file("a", 5 * PART), make_file("b", 5 * PART)]
    server.fault("UploadPart", {"type": "delay", "ms": 150}, every=2)
    ours, theirs = pty.openpty()
    process = put.start("-p", "100K", *paths, "oss://bucket/d/", stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    assert bucket.keys() == ["d/a", "d/b"]
    assert b"% " in text and b" of 1000.0 KiB" in text and b" of 2 files" in text
    assert text.rstrip().splitlines()[-1].endswith(b"/s)")


# -- what goes wrong --


def test_wrong_words(put, make_file, folder):
    path = make_file("f", 1)
    target = "oss://bucket/key"
    assert "takes FILE" in put.refused(path, status=2)
    assert "last word is the target" in put.refused(path, "bucket/key", status=2)
    assert "unknown option" in put.refused("--no-such", path, target, status=2)
    assert "part_size=99K: it takes 100K to 5G" in put.refused("-p", "99K", path, target, status=2)
    assert "part_size=6G: it takes 100K to 5G" in put.refused("-p", "6G", path, target, status=2)
    assert "threads=0: it takes 1 to 64" in put.refused("-t", "0", path, target, status=2)
    assert "sse=KMS: has no key id" in put.refused("-o", "sse=KMS:", path, target)
    assert "--meta x" in put.refused("--meta", "x", path, target, status=2)
    assert 'bucket "B"' in put.refused(path, "oss://B/key", status=2)
    assert "the same object" in put.refused(path, folder / "d" / "f", "oss://bucket/", status=2)
    assert "checkpoint directory /no/such: No such file" in put.refused(
        "--checkpoint-dir", "/no/such", path, target)
    assert "no such: No such file" in put.refused("no such", target)
    assert "-r uploads what is in it" in put.refused(folder, target)
    assert put.run("--help").stdout.startswith("usage: ossfs-up put")


def test_wrong_keys_and_places(put, server, bucket, folder, make_file):
    path = make_file("f", 3 * PART)
    put.env["OSS_ACCESS_KEY_SECRET"] = "wrong"
    line = put.refused("-p", "100K", path, "oss://bucket/key")
    assert "SignatureDoesNotMatch" in line and "check the access key secret" in line
    assert "(request " in line
    del put.env["OSS_ACCESS_KEY_SECRET"]
    put.env["OSS_ACCESS_KEY_ID"] = "nobody"
    assert "InvalidAccessKeyId" in put.refused("-p", "100K", path, "oss://bucket/key")
    del put.env["OSS_ACCESS_KEY_ID"]
    assert "NoSuchBucket" in put.refused("-p", "100K", path, "oss://nobucket/key")
    put.env["OSS_ENDPOINT"] = "http://127.0.0.1:1"
    line = put.refused("-o", "request_timeout=1s,log=error", "-p", "100K", path,
                       "oss://bucket/key")  # fmt: skip
    assert "127.0.0.1:1" in line
    put.env["OSS_ENDPOINT"] = server.endpoint
    assert_nothing_left(bucket, folder)


def test_one_bad_file_does_not_keep_the_others(put, bucket, make_file, folder):
    good = make_file("good", 10)
    (folder / "link").symlink_to("nowhere")
    done = put.run("missing", good, folder / "link", "oss://bucket/d/")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert bucket.keys() == ["d/good"]


# -- interruptions --


def held(server):
    return any(rule["acted"] for rule in server.fault_state())


def test_killed_at_random_moments(put, server, bucket, folder, make_file):
    parts, kills, rng = 40, 6, random.Random(4)
    path = make_file("f", (parts - 1) * PART + 5)
    for _ in range(kills):
        server.fault("UploadPart", {"type": "stall"}, **{"from": rng.randrange(1, 7)})
        process = put.start("-p", "100K", path, "oss://bucket/key")
        wait_until("a part is held", lambda: held(server))
        process.kill()
        process.communicate(timeout=PATIENCE)
        server.clear_faults()
    put.ok("-p", "100K", path, "oss://bucket/key")
    assert bucket.get("key") == path.read_bytes()
    assert sum(server.sent_parts("key").values()) <= parts + 3 * kills
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert_nothing_left(bucket, folder)


@pytest.mark.parametrize("sent_signal", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_gone_on_with(put, server, bucket, folder, make_file, sent_signal):
    path = make_file("f", 9 * PART + 5)
    server.fault("UploadPart", {"type": "stall"}, **{"from": 5})
    process = put.start("-p", "100K", path, "oss://bucket/key")
    parts_there(server, 4)
    process.send_signal(sent_signal)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + sent_signal
    assert out == ""
    assert "the same command goes on from there" in err and f"of {path}" in err
    assert len(err.splitlines()) == 1
    assert bucket.get("key") is None
    assert [c.stat().st_mode & 0o777 for c in checkpoints(folder)] == [0o600]
    server.clear_faults()
    before = server.sent_parts("key")
    out = put.ok("-v", "-p", "100K", path, "oss://bucket/key")
    assert "by an earlier run" in out
    assert bucket.get("key") == path.read_bytes()
    after = server.sent_parts("key")
    assert all(after[part] == 1 for part in before)
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert_nothing_left(bucket, folder)


def test_interrupted_standard_input_leaves_nothing(put, server, bucket, folder, make_file):
    path = make_file("f", 9 * PART)
    server.fault("UploadPart", {"type": "stall"}, **{"from": 3})
    with open(path, "rb") as stdin:
        process = put.start("-p", "100K", "-", "oss://bucket/key", stdin=stdin)
    parts_there(server, 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "standard input" in err
    assert_nothing_left(bucket, folder)


def test_interrupted_while_it_waits_for_input(put, folder):
    put.env["TMPDIR"] = str(folder)
    process = put.start("-", "oss://bucket/key", stdin=subprocess.PIPE)

    def waits():  # the copy has begun: its nameless file is open
        return any(link.startswith(str(folder)) and "(deleted)" in link
                   for link in open_files(process.pid))

    wait_until("it reads its input", waits)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    process.communicate()
    assert process.returncode == 130


def test_two_at_once(put, server, bucket, folder, make_file):
    path = make_file("f", 5 * PART)
    server.fault("UploadPart", {"type": "stall", "until": "cleared"}, part=3)
    first = put.start("-p", "100K", path, "oss://bucket/key")
    parts_there(server, 1)
    assert "another process is at this very upload" in put.refused(
        "-p", "100K", path, "oss://bucket/key")
    server.clear_faults()
    assert first.wait(PATIENCE) == 0
    first.communicate()
    assert bucket.get("key") == path.read_bytes()
    assert_nothing_left(bucket, folder)


def test_server_dies_and_comes_back(put, server, bucket, folder, make_file):
    path = make_file("f", 20 * PART)
    server.option(latency_ms=10)
    process = put.start("-p", "100K", path, "oss://bucket/key")
    parts_there(server, 5)
    server.restart()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert bucket.get("key") == path.read_bytes()
    assert_nothing_left(bucket, folder)


@pytest.mark.parametrize("action", [
    {"type": "status", "status": 503, "code": "ServiceUnavailable"},
    {"type": "status", "status": 500, "code": "InternalError"},
    {"type": "cut-after-bytes", "bytes": 65536},
    {"type": "cut-after-body"},
    {"type": "apply-no-answer"},
    {"type": "wrong-crc"},
    {"type": "corrupt-body", "at": 1000},
])
def test_faults_of_every_third_part(put, server, bucket, folder, make_file, action):
    path = make_file("f", 12 * PART)
    server.fault("UploadPart", action, every=3)
    done = put.run("-p", "100K", path, "oss://bucket/key")  # it may warn that it goes slowly
    assert done.returncode == 0, done.stderr
    assert bucket.get("key") == path.read_bytes()
    assert_nothing_left(bucket, folder)


@pytest.mark.parametrize("operation", ["InitiateMultipartUpload", "CompleteMultipartUpload"])
def test_lost_answers(put, server, bucket, folder, make_file, operation):
    path = make_file("f", 5 * PART)
    server.fault(operation, {"type": "apply-no-answer"}, nth=1)
    put.ok("-p", "100K", path, "oss://bucket/key")
    assert bucket.get("key") == path.read_bytes()
    assert sum(server.sent_parts("key").values()) == 5
    assert_nothing_left(bucket, folder)


# -- the file changes --


def write(path):
    with open(path, "r+b") as file:
        file.write(b"other")


@pytest.mark.parametrize("change, word", [
    (write, "written to"),
    (lambda path: os.truncate(path, PART), "truncated"),
    (lambda path: path.unlink(), "deleted"),
    (lambda path: (path.with_name("new").write_bytes(b"new"),
                   path.with_name("new").rename(path)), "replaced"),
], ids=["write", "truncate", "delete", "replace"])
def test_file_changes_while_it_is_sent(put, server, bucket, folder, make_file, change, word):
    path = make_file("f", 12 * PART)
    bucket.put("key", b"before")
    # Found by the next part that is read; at the latest when part 3 goes on.
    server.fault("UploadPart", {"type": "stall", "until": "cleared"}, part=3)
    process = put.start("-p", "100K", path, "oss://bucket/key")
    parts_there(server, 2)
    change(path)
    server.clear_faults()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert out == "" and len(err.splitlines()) == 1
    assert str(path) in err and word in err and "nothing was published" in err
    assert bucket.get("key") == b"before"
    assert_nothing_left(bucket, folder)


def test_file_changes_between_two_runs(put, server, bucket, folder, make_file):
    path = make_file("f", 9 * PART)
    server.fault("UploadPart", {"type": "stall"}, **{"from": 5})
    process = put.start("-p", "100K", path, "oss://bucket/key")
    parts_there(server, 4)
    process.kill()
    process.communicate()
    server.clear_faults()
    write(path)
    put.ok("-p", "100K", path, "oss://bucket/key")
    assert bucket.get("key") == path.read_bytes()
    assert server.counts()["AbortMultipartUpload"] == 1
    assert_nothing_left(bucket, folder)


# -- size --


def peak_memory(pid):
    """Most bytes it has had resident so far (wait4 would count this interpreter's, too)."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            found = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    except FileNotFoundError:
        return 0
    return int(found[0]) * KB if found else 0


@pytest.mark.limit(600)
def test_part_size_grows_so_that_10000_parts_do(put, server, bucket, folder):
    path = folder / "big"
    size = 10001 * PART
    with open(path, "wb") as file:
        file.truncate(size)
        for offset in range(0, size, 50 * MB):
            file.seek(offset)
            file.write(offset.to_bytes(8, "big"))
    server.option(no_md5=True)
    process = put.start("-p", "100K", "-t", "3", path, "oss://bucket/key")
    peak = 0

    def ended():
        nonlocal peak
        peak = max(peak, peak_memory(process.pid))
        return process.poll() is not None

    wait_until("it ends", ended, 300)
    _, err = process.communicate()
    assert process.returncode == 0, err
    counts = server.sent_parts("key")
    assert max(counts) == len(counts) == sum(counts.values()) <= 10000
    assert bucket.list() == {"key": (size, bucket.list()["key"][1])}
    if not put.build.sanitizer:  # else memory is not what it is for users
        assert 0 < peak < 32 * MB
    assert_nothing_left(bucket, folder)


@pytest.mark.limit(300)
def test_small_files_do_not_wait_for_a_big_one(put, server, bucket, folder):
    """The big one comes first, and none of its parts is answered before all of the others are there."""
    count, size = 1000, 64 * MB
    (folder / "d").mkdir()
    big = folder / "d" / "big"
    with open(big, "wb") as file:
        file.truncate(size)
    small = [folder / "d" / f"small{n}" for n in range(count)]
    for path in small:
        path.write_bytes(path.name.encode() * 1000)
    server.option(no_md5=True)
    server.fault("UploadPart", {"type": "stall", "until": "cleared"})
    process = put.start("-o", "request_timeout=1h", big, *small, "oss://bucket/d/")
    wait_until("the small ones are there", lambda: server.counts().get("PutObject") == count, 200)
    server.clear_faults()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert server.counts() == {
        "PutObject": count, "InitiateMultipartUpload": 1, "UploadPart": size // (8 * MB),
        "CompleteMultipartUpload": 1,
    }
    listed = bucket.list()
    assert len(listed) == count + 1 and listed["d/big"][0] == size
    assert_nothing_left(bucket, folder / "d")


def test_small_files_do_not_wait_behind_many_big_ones(put, server, bucket, make_file):
    """Big ones do not take all places, however many come first."""
    big = [make_file(f"big{i}", 2 * PART) for i in range(150)]
    small = [make_file(f"small{i}", 100) for i in range(20)]
    server.fault("InitiateMultipartUpload", {"type": "stall", "until": "cleared"})
    process = put.start("-p", "100K", "-o", "request_timeout=1h,connections=256", *big, *small,
                        "oss://bucket/")
    wait_until("the small ones are there", lambda: server.counts().get("PutObject") == len(small))
    server.clear_faults()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert len(bucket.keys()) == 170
