"""A directory is renamed while somebody still looks at files of it that have just been uploaded."""

import contextlib
import os
import threading

import pytest

from ossup_testlib import wait_until

FILES = {"f0": b"0", "f1": b"1"}


@pytest.fixture
def looked_at(make_mount, server, bucket):
    """A mount with a directory that is all in the bucket, and a sync that waits for another file."""
    mount = make_mount(settle="1h", attr_timeout="0").start()
    for name in ("d", "d/e"):
        (mount.path / name).mkdir()
    for name, data in FILES.items():
        (mount.path / f"d/e/{name}").write_bytes(data)
    (mount.path / "slow").write_bytes(b"slow")
    server.fault("PutObject", {"type": "status", "status": 503, "code": "ServiceUnavailable"},
                 key="slow")

    def sync():
        with contextlib.suppress(AssertionError):  # the daemon may die meanwhile
            mount.sync()

    thread = threading.Thread(target=sync)
    thread.start()
    wait_until("all but one is there", lambda: mount.status()["pending"]["files"] == 1)
    yield mount
    thread.join()


def check(mount, server, bucket):
    server.clear_faults()
    mount.sync()
    assert sorted(os.listdir(mount.path)) == ["slow", "to"]
    assert sorted(os.listdir(mount.path / "to/e")) == sorted(FILES)
    for name, data in FILES.items():
        assert (mount.path / f"to/e/{name}").read_bytes() == data
    assert not bucket.keys("d/")
    assert {name: bucket.get(f"to/e/{name}") for name in FILES} == FILES


def test_nothing_stays_under_the_old_name(looked_at, server, bucket):
    os.rename(looked_at.path / "d", looked_at.path / "to")
    check(looked_at, server, bucket)


def test_nor_after_a_crash(looked_at, server, bucket):
    os.rename(looked_at.path / "d", looked_at.path / "to")
    looked_at.allow_errors(".*")
    looked_at.kill9()
    looked_at.start()
    check(looked_at, server, bucket)
