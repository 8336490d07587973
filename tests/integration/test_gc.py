"""gc: what nobody can finish any more is aborted, what somebody can go on with never is."""

import os
import random
import signal
from xml.etree import ElementTree

import pytest

from ossup_testlib.put import Put
from ossup_testlib.wait import PATIENCE, wait_until

PART = 100 << 10
DAY = 86400


@pytest.fixture
def put(build, server, folder):
    return Put(build, server, folder)


@pytest.fixture
def gc(put, folder):
    """gc(word...): what it printed, as lines; .refused(word...): its error, and it did nothing"""
    def run(*words, status=0):
        done = put.command_run("gc", *words, "-o", f"spool={folder / 'spool'}")
        assert done.returncode == status, done.stderr
        return done

    def lines(*words):
        done = run(*words)
        assert "ossfs-up:" not in done.stderr  # it may warn of a clock
        return done.stdout.splitlines()

    lines.refused = lambda *words, status=1: run(*words, status=status).stderr
    return lines


@pytest.fixture
def path(folder):
    path = folder / "file"
    path.write_bytes(random.Random(9).randbytes(6 * PART))
    return path


def orphan(bucket, key):
    """An upload id that nobody knows."""
    reply = bucket.request("POST", key, query={"uploads": ""})
    return ElementTree.fromstring(reply.body).findtext("{*}UploadId")


def interrupt(put, server, path, *words, key="mine"):
    def parts_there():
        return [e for e in server.requests("UploadPart", key=key) if e["status"] == 200]

    server.fault("UploadPart", {"type": "stall"}, **{"from": 3})
    process = put.start("-p", "100K", *words, path, f"oss://bucket/{key}")
    wait_until("two parts are there", lambda: len(parts_there()) == 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    server.clear_faults()


def keys(bucket):
    return sorted(key for key, _ in bucket.uploads())


def test_old_uploads_under_a_prefix(gc, server, bucket):
    def in_8_days(*words):  # by the server's clock: ours is the one that is wrong
        server.control("POST", "time", {"offset": 8 * DAY})
        lines = gc(*words)
        server.control("POST", "time", {"offset": 0})
        return lines

    first = orphan(bucket, "a/1")
    orphan(bucket, "b/1")
    assert gc("bucket") == ["no unfinished upload is that old"]
    assert in_8_days("bucket", "--older-than", "9d") == ["no unfinished upload is that old"]
    assert in_8_days("bucket:a/", "--list") == [f"unfinished {first} a/1 (192 hours old)"]
    assert keys(bucket) == ["a/1", "b/1"]
    assert in_8_days("bucket:a/") == [f"aborted {first} a/1 (192 hours old)"]
    assert keys(bucket) == ["b/1"]
    assert len(in_8_days("bucket")) == 1
    assert keys(bucket) == []


def test_many_pages(gc, server, bucket):
    for n in range(10):
        orphan(bucket, f"k{n:02}")
    server.option(list_short_pages=3)
    assert len(gc("bucket", "--older-than", "0s")) == 10
    server.option(list_short_pages=0)
    assert keys(bucket) == []


def test_what_put_can_go_on_with_is_kept(gc, put, server, bucket, path, folder):
    (folder / "elsewhere").mkdir()
    interrupt(put, server, path)
    interrupt(put, server, path, "--checkpoint-dir", "elsewhere", key="there")
    orphan(bucket, "nobody's")
    assert keys(bucket) == ["mine", "nobody's", "there"]
    assert len(gc("bucket", "--older-than", "0s")) == 1
    assert keys(bucket) == ["mine", "there"]
    server.clear_log()
    put.ok("-p", "100K", path, "oss://bucket/mine")
    put.ok("-p", "100K", "--checkpoint-dir", "elsewhere", path, "oss://bucket/there")
    assert bucket.get("mine") == bucket.get("there") == path.read_bytes()
    assert server.counts().get("InitiateMultipartUpload", 0) == 0
    assert keys(bucket) == []
    assert list((put.home / "state" / "ossfs-up" / "put").iterdir()) == []


def test_what_put_cannot_go_on_with_is_not(gc, put, server, bucket, path, folder):
    interrupt(put, server, path)
    for checkpoint in folder.glob("*.ossup-ckpt"):
        checkpoint.unlink()
    assert len(gc("bucket", "--older-than", "0s")) == 1
    assert keys(bucket) == []
    assert list((put.home / "state" / "ossfs-up" / "put").iterdir()) == []


def test_checkpoints_that_were_not_noted_can_be_named(gc, put, server, bucket, path, folder):
    (folder / "no directory").write_text("so nothing is noted")
    put.env["XDG_STATE_HOME"] = str(folder / "no directory")
    interrupt(put, server, path)
    del put.env["XDG_STATE_HOME"]
    words = ("bucket", "--older-than", "0s", "--list")
    assert len(gc(*words)) == 1
    assert gc(*words, "--checkpoint-dir", str(folder)) == [
        "nothing to abort: 1 unfinished upload of this machine can still go on"]
    assert "No such file" in gc.refused(*words, "--checkpoint-dir", "/no/such")
    put.ok("-p", "100K", path, "oss://bucket/mine")
    assert bucket.get("mine") == path.read_bytes()


def test_a_checkpoint_that_cannot_be_read_stops_it(gc, put, server, bucket, path, folder):
    interrupt(put, server, path)
    orphan(bucket, "nobody's")
    [checkpoint] = folder.glob("*.ossup-ckpt")
    checkpoint.rename(folder / "away")
    checkpoint.mkdir()
    line = gc.refused("bucket", "--older-than", "0s")
    assert "nothing is aborted" in line and str(checkpoint) in line
    assert keys(bucket) == ["mine", "nobody's"]


def test_what_a_mount_can_go_on_with_is_kept(gc, make_mount, server, bucket, folder):
    mount = make_mount(spool=folder / "spool", part_size="100K").start()
    server.fault("UploadPart", {"type": "stall"}, **{"from": 3})
    (mount.path / "f").write_bytes(os.urandom(6 * PART))
    wait_until("an upload has begun", lambda: keys(bucket) == ["f"])
    orphan(bucket, "nobody's")
    assert len(gc("bucket", "--older-than", "0s")) == 1
    mount.kill9()
    assert gc("bucket", "--older-than", "0s") == [
        "nothing to abort: 1 unfinished upload of this machine can still go on"]
    assert keys(bucket) == ["f"]
    server.clear_faults()
    mount.start()
    mount.sync()
    assert bucket.keys() == ["f"] and keys(bucket) == []


def test_wrong_words_and_refusals(gc, server, bucket):
    for words in [("bucket", "--no-such"), ("bucket", "another")]:
        assert "see gc --help" in gc.refused(*words, status=2)
    assert "is no duration" in gc.refused("bucket", "--older-than", "long", status=2)
    assert gc("--help")[0] == "usage: ossfs-up gc BUCKET[:PREFIX] [OPTIONS]"
    line = gc.refused("nobucket")
    assert "bucket nobucket does not exist at" in line and "check the name" in line
    orphan(bucket, "a")
    server.fault("AbortMultipartUpload", {"type": "status", "status": 403, "code": "AccessDenied"})
    assert "AccessDenied" in gc.refused("bucket", "--older-than", "0s")
    assert keys(bucket) == ["a"]
