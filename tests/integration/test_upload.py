"""The main job: a big file goes up in parts, and nothing that goes wrong loses or doubles it."""

import errno
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from ossup_testlib import unmount, wait_until
from ossup_testlib.server import KEY_ID, SECRET
from ossup_testlib.wait import PATIENCE

MIB = 1 << 20
PART = 8 * MIB


def write_random(path, size):
    """A file of noise; returns its sha256."""
    with open(path, "wb") as file:
        subprocess.run(["head", "-c", str(size), "/dev/urandom"], check=True, stdout=file)
    return sha256(path)


def sha256(path):
    return subprocess.run(
        ["sha256sum", str(path)], check=True, capture_output=True, text=True
    ).stdout.split()[0]


def fetched_by_ali_oss(build, server, key):
    """The sha256 of what the official client gets."""
    here = Path(__file__).parent / "witness"
    subprocess.run(["sh", here / "install.sh", build.path], check=True)
    return subprocess.run(
        ["node", here / "fetch.mjs", build.path / "tests/integration/witness", server.endpoint,
         server.buckets[0], key],
        check=True, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": SECRET},
    ).stdout.strip()


def bucket_sha256(bucket, key):
    return hashlib.sha256(bucket.get(key)).hexdigest()


def wait_for_parts(server, count, key="big"):
    wait_until(f"{count} parts are up", lambda: len(server.sent_parts(key)) >= count, 60)


@pytest.mark.limit(300)
def test_one_gigabyte_costs_its_parts_and_four_requests(build, server, make_mount, folder):
    parts = build.smaller(128, 16)
    mount = make_mount(log="info", attr_timeout="60s").start()  # what sync looks up is not counted
    digest = write_random(folder / "src", parts * PART)
    server.clear_log()
    subprocess.run(["cp", folder / "src", mount.path / "big"], check=True)
    mount.sync("big", 120)
    counts = server.counts()
    assert counts.pop("UploadPart") == parts
    assert counts.pop("InitiateMultipartUpload") == 1
    assert counts.pop("CompleteMultipartUpload") == 1
    assert sum(counts.values()) <= 2, counts
    in_flight = max(e["in_flight"] for e in server.requests("UploadPart"))
    assert 1 < in_flight <= 3
    assert fetched_by_ali_oss(build, server, "big") == digest
    wait_until("the spool is empty", lambda: not mount.spool_files())


def hold(server, part, **how):
    """The upload stays under way: from the so-manieth part on none is answered."""
    server.fault("UploadPart", {"type": "stall", **how}, **{"from": part})


def test_kill_in_the_middle_resumes_without_anyone_touching_the_file(
    server, bucket, make_mount, folder
):
    mount = make_mount(log="info").start()
    digest = write_random(folder / "src", 16 * PART)
    hold(server, 7)
    subprocess.run(["cp", folder / "src", mount.path / "big"], check=True)
    wait_for_parts(server, 6)
    mount.kill9()
    assert bucket.head("big") is None
    server.clear_faults()
    mount.start()
    assert sha256(mount.path / "big") == digest
    wait_until("the object is there", lambda: bucket.head("big"), 60)
    mount.sync(timeout=60)
    assert bucket_sha256(bucket, "big") == digest
    twice = [number for number, count in server.sent_parts("big").items() if count > 1]
    assert len(twice) <= 3
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert bucket.uploads() == []
    wait_until("the spool is empty", lambda: not mount.spool_files())


@pytest.mark.limit(300)
def test_server_that_dies_and_comes_back(server, bucket, make_mount, folder):
    mount = make_mount(log="info").start()
    digest = write_random(folder / "src", 12 * PART)
    hold(server, 5)
    subprocess.run(["cp", folder / "src", mount.path / "big"], check=True)
    wait_for_parts(server, 4)
    server.kill()
    assert sha256(mount.path / "big") == digest  # a dead network blocks nothing that is local
    server.start()
    mount.sync(timeout=120)
    assert bucket_sha256(bucket, "big") == digest
    assert bucket.uploads() == []


FAULTS = {
    "part-500": {
        "operation": "UploadPart",
        "every": 3,
        "action": {"type": "status", "status": 500, "code": "InternalError"},
    },
    "part-503": {
        "operation": "UploadPart",
        "every": 3,
        "action": {"type": "status", "status": 503, "code": "ServiceUnavailable"},
    },
    "part-cut": {
        "operation": "UploadPart",
        "every": 4,
        "action": {"type": "cut-after-bytes", "bytes": 65536},
    },
    "part-unanswered": {
        "operation": "UploadPart",
        "every": 4,
        "action": {"type": "apply-no-answer"},
    },
    "initiate-unanswered": {
        "operation": "InitiateMultipartUpload",
        "nth": 1,
        "action": {"type": "apply-no-answer"},
    },
    "complete-unanswered": {
        "operation": "CompleteMultipartUpload",
        "nth": 1,
        "action": {"type": "apply-no-answer"},
    },
    "part-wrong-crc": {
        "operation": "UploadPart",
        "part": 3,
        "nth": 1,
        "action": {"type": "wrong-crc"},
    },
    "part-flipped": {
        "operation": "UploadPart",
        "part": 2,
        "nth": 1,
        "action": {"type": "corrupt-body"},
    },
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_upload_survives(name, server, bucket, make_mount, folder):
    mount = make_mount(log="info").start()
    digest = write_random(folder / "src", 64 * MIB)
    server.faults(FAULTS[name])
    subprocess.run(["cp", folder / "src", mount.path / "big"], check=True)
    mount.sync(timeout=120)
    assert any(rule["acted"] > 0 for rule in server.fault_state()), "the fault was never met"
    assert bucket_sha256(bucket, "big") == digest
    assert bucket.uploads() == []
    wait_until("the spool is empty", lambda: not mount.spool_files())
    if name in ("part-wrong-crc", "part-flipped"):
        number = FAULTS[name]["part"]
        assert server.sent_parts("big")[number] == 2
        assert len(server.requests("CompleteMultipartUpload")) == 1
    if name == "complete-unanswered":
        assert all(count == 1 for count in server.sent_parts("big").values())


@pytest.mark.parametrize("action", ["apply-no-answer", "cut-after-body", "wrong-crc"])
def test_small_file_survives(action, server, bucket, mount):
    server.fault("PutObject", {"type": action}, nth=1)
    (mount.path / "small").write_bytes(b"x" * 1000)
    mount.sync(timeout=60)
    assert bucket.get("small") == b"x" * 1000
    assert len(server.requests("PutObject")) == 2


def test_pending_file_reads_back_whole(server, make_mount, folder):
    mount = make_mount(settle="1h", early="off").start()
    digest = write_random(folder / "src", 32 * MIB)
    subprocess.run(["cp", folder / "src", mount.path / "big"], check=True)
    server.clear_log()
    assert sha256(mount.path / "big") == digest
    assert server.log() == []
    assert mount.status()["pending"]["files"] == 1
    mount.sync(timeout=60)


def test_closed_files_survive_a_kill_before_any_upload(bucket, make_mount):
    mount = make_mount(settle="1h").start()
    (mount.path / "d").mkdir()
    for number in range(50):
        (mount.path / "d" / f"f{number}").write_bytes(b"%d" % number * 100)
    os.symlink("f1", mount.path / "d" / "link")
    mount.kill9()
    mount.options["settle"] = "50ms"
    mount.start()
    assert os.readlink(mount.path / "d" / "link") == "f1"
    mount.sync(timeout=60)
    for number in range(50):
        assert bucket.get(f"d/f{number}") == b"%d" % number * 100


def test_file_that_was_never_closed_is_kept_and_not_uploaded(bucket, make_mount):
    mount = make_mount().start()
    file = open(mount.path / "open", "wb")  # noqa: SIM115 - open over the kill on purpose
    file.write(b"x" * 5000)
    file.flush()
    mount.kill9()
    with pytest.raises(OSError):
        file.close()
    mount.start()
    mount.sync(timeout=60)
    assert bucket.get("open") is None
    listed = mount.run("spool", "list", "-o", f"spool={mount.spool}").stdout
    assert "open" in listed


def test_umount_drains(bucket, make_mount, folder):
    mount = make_mount(settle="1h").start()
    digest = write_random(folder / "src", 32 * MIB)
    subprocess.run(["cp", folder / "src", mount.path / "big"], check=True)
    mount.umount(60)
    assert bucket_sha256(bucket, "big") == digest


def test_new_mount_takes_over_from_a_draining_daemon(server, bucket, make_mount, folder):
    mount = make_mount(log="info").start()
    digest = write_random(folder / "src", 12 * PART)
    hold(server, 2, until="cleared")
    subprocess.run(["cp", folder / "src", mount.path / "big"], check=True)
    wait_for_parts(server, 1)
    unmount(mount.path)
    second = make_mount(name="second", spool=mount.spool, log="info").start()
    assert mount.process.wait(PATIENCE) == 0
    assert sha256(second.path / "big") == digest
    server.clear_faults()
    second.sync(timeout=60)
    assert bucket_sha256(bucket, "big") == digest
    assert len(server.requests("InitiateMultipartUpload")) == 1


def test_new_mount_waits_for_a_daemon_that_is_ending(make_mount):
    """It answers no more and still syncs what it leaves: its lock says that it is there."""
    mount = make_mount().start()
    (mount.path / "f").write_bytes(b"data")
    mount.umount()
    (lock,) = mount.spool.glob("*/lock")
    second = make_mount(name="second", spool=mount.spool)
    starter = threading.Thread(target=second.start)
    with open(lock, "r+b") as held, socket.socket(socket.AF_UNIX) as mute:
        fcntl.flock(held, fcntl.LOCK_EX)
        directory = os.open(lock.parent, os.O_PATH)
        mute.bind(f"/proc/self/fd/{directory}/control")  # the path of a socket is short
        os.close(directory)
        mute.listen()
        mute.settimeout(PATIENCE)
        starter.start()
        for _ in range(2):
            mute.accept()[0].close()
        (lock.parent / "control").unlink()
    starter.join()
    assert (second.path / "f").read_bytes() == b"data"


def test_termination_signal_unmounts_and_drains(bucket, mount):
    (mount.path / "f").write_bytes(b"data")
    assert mount.terminate(signal.SIGTERM) == 0
    assert not mount.is_mounted()
    assert bucket.get("f") == b"data"


def test_sync_of_an_upload_id_that_was_found_again(make_mount, server, bucket):
    """Its attributes are set by another request, which does not wait for the settle time either."""
    mount = make_mount(part_size="100K", settle="0").start()
    server.fault("InitiateMultipartUpload", {"type": "stall", "when": "after-apply"}, nth=1)
    data = os.urandom(300_000)
    (mount.path / "file").write_bytes(data)
    wait_until("an upload id is made", lambda: bucket.uploads())
    mount.kill9()
    server.clear_faults()
    mount.options["settle"] = "1h"
    mount.start()
    mount.sync()
    assert bucket.get("file") == data


def test_a_full_bucket_is_told_by_the_close(make_mount, server, bucket):
    mount = make_mount(close="upload", settle="0").start()
    mount.allow_errors("upload parked key=f")
    server.fault("PutObject", {"type": "status", "status": 403, "code": "BucketQuotaExceeded"})
    with pytest.raises(OSError) as told:
        (mount.path / "f").write_bytes(b"more than it may have")
    assert told.value.errno == errno.EDQUOT
    assert "make room" in mount.status()["failed"][0]["way_out"]
    server.clear_faults()
    mount.run("spool", "resume", mount.path)
    mount.sync()
    assert bucket.get("f") == b"more than it may have"
