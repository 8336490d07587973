"""Parts go out while a file is still being written; the object appears only after the close."""

import contextlib
import hashlib
import os
import random
import subprocess

import pytest

from ossup_testlib import wait_until

MIB = 1 << 20
OPTIONS = {"part_size": "1M", "settle": "10ms"}


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def wait_sent(server, parts, key="big"):
    wait_until(f"{parts} parts are up", lambda: len(server.sent_parts(key)) >= parts)


def assert_clean(mount, bucket):
    wait_until("the spool is empty", lambda: not mount.spool_files())
    wait_until("no upload is unfinished", lambda: bucket.uploads() == [])


def closed_by_kill(file):
    """The daemon of this file is gone: the descriptor goes, whatever it says."""
    with contextlib.suppress(OSError):
        file.close()


def writer(path, data):
    """An open file with these bytes."""
    file = open(path, "wb", 0)  # noqa: SIM115 - it stays open on purpose
    for at in range(0, len(data), MIB // 4):
        file.write(data[at : at + MIB // 4])
    return file


def test_parts_go_while_the_file_is_open(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    data = noise(10 * MIB + 5)
    server.clear_log()
    with writer(mount.path / "big", data):
        wait_sent(server, 8)  # two part sizes stay behind the writer
        assert set(server.sent_parts("big")) == set(range(1, 9))
        assert bucket.head("big") is None
        assert mount.status()["uploads"][0]["state"] == "early"
    mount.sync()
    assert bucket.get("big") == data
    counts = server.counts()
    assert server.sent_parts("big") == dict.fromkeys(range(1, 12), 1)
    assert counts["InitiateMultipartUpload"] == 1
    assert counts["CompleteMultipartUpload"] == 1
    assert counts.get("CopyObject", 0) == 0
    assert_clean(mount, bucket)


def test_stat_and_object_agree(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    with writer(mount.path / "big", noise(6 * MIB)):
        wait_sent(server, 4)
    told = os.stat(mount.path / "big").st_mtime_ns
    mount.sync()
    assert os.stat(mount.path / "big").st_mtime_ns == told
    seconds, _, rest = bucket.meta("big")["mtime"].partition(".")
    assert int(seconds) * 10**9 + int(rest.ljust(9, "0")) == told
    assert len(server.requests("CopyObject")) == 0


def test_times_that_were_set_cost_one_copy(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    with writer(mount.path / "big", noise(6 * MIB)) as file:
        wait_sent(server, 4)
        os.utime(file.fileno(), (1000000000, 1000000000))
    mount.sync()
    assert os.stat(mount.path / "big").st_mtime == 1000000000
    assert bucket.meta("big")["mtime"].split(".")[0] == "1000000000"
    assert len(server.requests("CopyObject")) == 1


def test_off_sends_nothing_before_the_close(server, bucket, make_mount):
    mount = make_mount(early="off", **OPTIONS).start()
    data = noise(8 * MIB)
    server.clear_log()
    with writer(mount.path / "big", data):
        assert server.requests("InitiateMultipartUpload") == []
    mount.sync()
    assert bucket.get("big") == data
    assert server.sent_parts("big") == dict.fromkeys(range(1, 9), 1)


@pytest.mark.parametrize("name", ["x.tmp", "x.part", ".big.Ab3xY9", "x~", ".#x", ".x.swp"])
def test_temporary_name_waits_for_its_rename(name, server, bucket, make_mount):
    mount = make_mount(**{**OPTIONS, "settle": "1h"}).start()
    data = noise(6 * MIB)
    server.clear_log()
    with writer(mount.path / name, data):
        assert server.requests("InitiateMultipartUpload") == []
    os.rename(mount.path / name, mount.path / "big")
    mount.sync()
    assert bucket.get("big") == data
    assert bucket.keys() == ["big"]
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert server.sent_parts("big") == dict.fromkeys(range(1, 7), 1)


def test_part_that_is_written_again_is_right(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    data = bytearray(noise(8 * MIB))
    with writer(mount.path / "big", data) as file:
        wait_sent(server, 6)
        data[100:200] = noise(100, 2)
        os.pwrite(file.fileno(), data[100:200], 100)
        tail = noise(3 * MIB, 3)
        file.write(tail)  # not sent ahead any more
    mount.sync()
    assert bucket.get("big") == bytes(data + tail)
    assert server.sent_parts("big")[1] == 2
    assert all(count == 1 for part, count in server.sent_parts("big").items() if part > 1)
    assert_clean(mount, bucket)


def test_truncate_in_the_middle(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    data = noise(8 * MIB)
    with writer(mount.path / "big", data) as file:
        wait_sent(server, 6)
        file.truncate(3 * MIB + 7)
    mount.sync()
    assert bucket.get("big") == data[: 3 * MIB + 7]
    assert_clean(mount, bucket)


def test_truncate_to_nothing_and_again(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    again = noise(7 * MIB, 2)
    with writer(mount.path / "big", noise(8 * MIB)) as file:
        wait_sent(server, 6)
        file.truncate(0)
        file.seek(0)
        file.write(again)
        assert bucket.head("big") is None
    mount.sync()
    assert bucket.get("big") == again
    assert_clean(mount, bucket)


def test_unlink_in_the_middle(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    with writer(mount.path / "big", noise(8 * MIB)) as file:
        wait_sent(server, 6)
        os.unlink(mount.path / "big")
        file.write(b"x" * MIB)
    mount.sync()
    assert bucket.keys() == []
    assert_clean(mount, bucket)


def test_rename_in_the_middle(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    data = noise(8 * MIB)
    with writer(mount.path / "big", data) as file:
        wait_sent(server, 6)
        os.rename(mount.path / "big", mount.path / "other")
        file.write(data)
    mount.sync()
    assert bucket.keys() == ["other"]
    assert bucket.get("other") == data + data
    assert_clean(mount, bucket)


def test_overwritten_object_stays_until_the_close(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    old, data = noise(5 * MIB, 1), noise(9 * MIB, 2)
    (mount.path / "big").write_bytes(old)
    mount.sync()
    server.clear_log()
    with writer(mount.path / "big", data):
        wait_sent(server, 7)
        assert bucket.get("big") == old
    mount.sync()
    assert bucket.get("big") == data
    assert server.sent_parts("big") == dict.fromkeys(range(1, 10), 1)


def test_object_that_was_deleted_before_does_not_come_back(server, bucket, make_mount):
    mount = make_mount(**{**OPTIONS, "settle": "1h"}).start()
    bucket.put("big", b"old")
    os.unlink(mount.path / "big")
    file = writer(mount.path / "big", noise(8 * MIB))
    wait_sent(server, 6)
    mount.kill9()
    closed_by_kill(file)
    mount.options["settle"] = "10ms"
    mount.start()
    mount.sync()
    assert bucket.keys() == []


@pytest.mark.parametrize("earlier", [False, True])
def test_kill_while_it_is_open(earlier, server, bucket, make_mount):
    """The file was never closed: what was before it stays, and no upload is left."""
    mount = make_mount(**OPTIONS).start()
    if earlier:
        (mount.path / "big").write_bytes(b"closed")
        mount.sync()
    file = writer(mount.path / "big", noise(8 * MIB))
    wait_sent(server, 6)
    assert len(bucket.uploads()) == 1
    mount.kill9()
    closed_by_kill(file)
    mount.start()
    mount.sync()
    wait_until("no upload is unfinished", lambda: bucket.uploads() == [])
    assert bucket.get("big") == (b"closed" if earlier else None)
    listed = mount.run("spool", "list", "-o", f"spool={mount.spool}").stdout
    assert "open" in listed


def test_kill_after_the_close_sends_no_part_twice(server, bucket, make_mount):
    mount = make_mount(**{**OPTIONS, "settle": "1h"}).start()
    data = noise(10 * MIB)
    with writer(mount.path / "big", data):
        wait_sent(server, 8)
    wait_sent(server, 10)
    mount.kill9()
    mount.options["settle"] = "10ms"
    mount.start()
    mount.sync()
    assert bucket.get("big") == data
    assert server.sent_parts("big") == dict.fromkeys(range(1, 11), 1)
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert_clean(mount, bucket)


def test_shell_that_closes_its_copy_of_the_file(server, bucket, make_mount):
    """The version that such a close makes is not the end of the upload."""
    mount = make_mount(**OPTIONS).start()
    server.clear_log()
    subprocess.run(["sh", "-c", 'for i in 1 2 3; do head -c 4194304 /dev/zero; done > "$0"',
                    mount.path / "big"], check=True)
    mount.sync()
    assert bucket.get("big") == bytes(12 * MIB)
    assert server.sent_parts("big") == dict.fromkeys(range(1, 13), 1)
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert len(server.requests("CompleteMultipartUpload")) == 1


def test_refused_upload_is_told_after_the_close(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    mount.allow_errors("parked")
    server.fault("*", {"type": "status", "status": 403, "code": "AccessDenied"}, key="big")
    data = noise(6 * MIB)
    with writer(mount.path / "big", data):
        wait_until("it was refused", lambda: server.requests("InitiateMultipartUpload"))
    wait_until("it is parked", lambda: mount.status()["pending"]["failed"] == 1)
    server.clear_faults()
    mount.run("spool", "resume", mount.path)
    mount.sync()
    assert bucket.get("big") == data
    assert_clean(mount, bucket)


def test_sparse_file_is_right(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    data = bytearray(12 * MIB)
    with open(mount.path / "big", "wb", 0) as file:
        for at in (0, 5 * MIB, 9 * MIB, 3 * MIB):
            data[at : at + MIB] = noise(MIB, at)
            os.pwrite(file.fileno(), data[at : at + MIB], at)
        file.truncate(len(data))
    mount.sync()
    assert hashlib.sha256(bucket.get("big")).digest() == hashlib.sha256(data).digest()
    assert_clean(mount, bucket)


def test_two_writers_of_one_file(server, bucket, make_mount):
    mount = make_mount(**OPTIONS).start()
    data = bytearray(noise(8 * MIB))
    with writer(mount.path / "big", data) as first, open(mount.path / "big", "rb+", 0) as second:
        wait_sent(server, 6)
        data[2 * MIB : 2 * MIB + 10] = b"0123456789"
        os.pwrite(second.fileno(), b"0123456789", 2 * MIB)
        first.write(b"tail")
        first.close()
        assert bucket.head("big") is None
    mount.sync()
    assert bucket.get("big") == bytes(data) + b"tail"
