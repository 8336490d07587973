"""Open files of the daemon: what waits needs none, and the usual limit of 1024 is no limit."""

import os
import resource
import threading

import pytest

from ossup_testlib import wait_until
from ossup_testlib.proc import open_files


@pytest.fixture
def usual_limit():
    """A login's: 1024, which may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sidecars_open(mount):
    return sum(link.endswith(".ckpt") for link in open_files(mount.process.pid))


def test_limit_is_raised(usual_limit, make_mount):
    mount = make_mount().start()
    now = resource.prlimit(mount.process.pid, resource.RLIMIT_NOFILE)
    assert now == (usual_limit, usual_limit)


@pytest.mark.parametrize("kind", ["file", "synced", "dir", "link"])
def test_files_that_wait_hold_no_descriptor(kind, make_mount):
    mount = make_mount(settle="1h", drain="no").start()
    for number in range(30):
        path = mount.path / f"{number}"
        if kind == "dir":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("target")
        else:
            with open(path, "wb", 0) as file:
                file.write(b"text")
                if kind == "synced":
                    os.fsync(file.fileno())
    wait_until("all are closed", lambda: sidecars_open(mount) == 0)
    os.utime(mount.path / "7", ns=(1, 1), follow_symlinks=False)
    wait_until("it is closed again", lambda: sidecars_open(mount) == 0)


def test_parked_files_hold_no_descriptor(server, make_mount):
    mount = make_mount().start()
    mount.allow_errors(".*AccessDenied.*")
    server.fault("PutObject", {"type": "status", "status": 403, "code": "AccessDenied"})
    for number in range(30):
        (mount.path / f"{number}").write_bytes(b"text")
    wait_until("all are parked", lambda: mount.status()["pending"]["failed"] == 30)
    wait_until("all are closed", lambda: sidecars_open(mount) == 0)
    server.clear_faults()
    mount.run("spool", "resume", mount.path)
    mount.sync()


def test_more_files_wait_than_may_be_open(server, bucket, make_mount):
    mount = make_mount().start()
    count = 1500
    resource.prlimit(mount.process.pid, resource.RLIMIT_NOFILE, (800, 800))
    server.fault("PutObject", {"type": "status", "status": 503, "code": "ServiceUnavailable"})
    writers = [
        threading.Thread(
            target=lambda first: [
                (mount.path / f"{number}").write_bytes(b"%d" % number)
                for number in range(first, count, 4)
            ],
            args=(first,),
        )
        for first in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert mount.status()["pending"]["files"] == count
    server.clear_faults()
    mount.umount()
    assert {key: bucket.get(key) for key in bucket.keys()} == {
        f"{number}": b"%d" % number for number in range(count)
    }
