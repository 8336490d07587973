"""A file that was never closed takes the name of one that was: kill -9 leaves the one that was.

What is closed is never lost, so what a program replaces by a rename before it has closed the new
file stays until that has a version of its own (src/spool/replaced.c).
"""

import os

import pytest

from ossup_testlib import wait_until

PART = 100 << 10
OLD = os.urandom(5 * PART)
NEW = os.urandom(3 * PART + 77)
HOUR = "1h"


def pending(make_mount, server, bucket):
    mount = make_mount(settle=HOUR, part_size="100K").start()
    (mount.path / "d").mkdir()
    (mount.path / "d/a").write_bytes(OLD)
    return mount


def uploaded(make_mount, server, bucket):
    mount = pending(make_mount, server, bucket)
    mount.sync()
    assert bucket.get("d/a") == OLD
    return mount


def in_the_bucket(make_mount, server, bucket):
    """And nobody has looked at it since the mount."""
    bucket.put("d/a", OLD)
    return make_mount(settle=HOUR, part_size="100K").start()


def changed(make_mount, server, bucket):
    bucket.put("d/a", bytes(PART) + OLD[PART:])
    mount = make_mount(settle=HOUR, part_size="100K").start()
    with open(mount.path / "d/a", "r+b") as file:
        file.write(OLD[:PART])
    return mount


def on_its_way(make_mount, server, bucket):
    """One part of it is not answered."""
    server.fault("UploadPart", {"type": "stall", "when": "after-body"}, key="d/a", part=3, nth=1)
    mount = make_mount(settle="0", part_size="100K").start()
    (mount.path / "d").mkdir()
    (mount.path / "d/a").write_bytes(OLD)
    wait_until("a part stalls", lambda: server.fault_state()[0]["acted"])
    return mount


BEFORE = [pending, uploaded, in_the_bucket, changed, on_its_way]


@pytest.fixture(params=BEFORE, ids=[before.__name__ for before in BEFORE])
def mount(request, make_mount, server, bucket):
    return request.param(make_mount, server, bucket)


def begin(path, data=NEW[:PART]):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    assert os.write(fd, data) == len(data)
    return fd


def crash(mount, server, *fds):
    mount.kill9()
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass
    server.clear_faults()
    mount.start()


def check(mount, bucket, expected):
    """Of these names there is in the mount, and after a sync in the bucket, exactly that."""
    for name, data in expected.items():
        path = mount.path / name
        assert path.exists() == (data is not None), name
        assert data is None or path.read_bytes() == data, name
    mount.sync()
    for name, data in expected.items():
        assert bucket.get(name) == data, name


def test_it_is_there_after_a_crash(mount, server, bucket):
    fd = begin(mount.path / "d/t")
    os.rename(mount.path / "d/t", mount.path / "d/a")
    assert (mount.path / "d/a").read_bytes() == NEW[:PART]
    crash(mount, server, fd)
    check(mount, bucket, {"d/a": OLD, "d/t": None})


def test_what_is_closed_replaces_it(mount, server, bucket):
    fd = begin(mount.path / "d/t")
    os.rename(mount.path / "d/t", mount.path / "d/a")
    assert os.write(fd, NEW[PART:]) == len(NEW) - PART
    os.close(fd)
    crash(mount, server)
    check(mount, bucket, {"d/a": NEW, "d/t": None})
    wait_until("the spool is empty", lambda: not mount.spool_files())
    assert bucket.uploads() == []


def test_what_is_closed_is_uploaded_without_a_crash(mount, server, bucket):
    fd = begin(mount.path / "d/t")
    os.rename(mount.path / "d/t", mount.path / "d/a")
    server.clear_faults()
    mount.sync()
    assert os.write(fd, NEW[PART:]) == len(NEW) - PART
    os.close(fd)
    check(mount, bucket, {"d/a": NEW, "d/t": None})
    wait_until("the spool is empty", lambda: not mount.spool_files())
    assert bucket.uploads() == []


def test_an_unlink_takes_both(mount, server, bucket):
    fd = begin(mount.path / "d/t")
    os.rename(mount.path / "d/t", mount.path / "d/a")
    os.unlink(mount.path / "d/a")
    crash(mount, server, fd)
    check(mount, bucket, {"d/a": None, "d/t": None})


def test_a_chain(mount, server, bucket):
    fds = [begin(mount.path / "d/t"), begin(mount.path / "d/u", b"u")]
    os.rename(mount.path / "d/t", mount.path / "d/a")
    os.rename(mount.path / "d/u", mount.path / "d/a")
    assert (mount.path / "d/a").read_bytes() == b"u"
    crash(mount, server, *fds)
    check(mount, bucket, {"d/a": OLD, "d/t": None, "d/u": None})


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_its_directory_is_renamed(mount, server, bucket, twice):
    fd = begin(mount.path / "d/t")
    os.rename(mount.path / "d/t", mount.path / "d/a")
    server.clear_faults()
    os.rename(mount.path / "d", mount.path / "e")
    if twice:
        os.rename(mount.path / "e", mount.path / "f")
    name = "f/a" if twice else "e/a"
    assert (mount.path / name).read_bytes() == NEW[:PART]
    crash(mount, server, fd)
    check(mount, bucket, {name: OLD, "d/a": None})


def test_it_is_renamed_away_over_another(mount, server, bucket):
    (mount.path / "b").write_bytes(b"other")
    fd = begin(mount.path / "d/t")
    os.rename(mount.path / "d/t", mount.path / "d/a")
    server.clear_faults()
    os.rename(mount.path / "d/a", mount.path / "b")
    crash(mount, server, fd)
    check(mount, bucket, {"b": OLD, "d/a": None})


def test_a_remount_in_between(mount, server, bucket):
    """The program that has it open is gone with the mount; what it wrote was closed by that."""
    fd = begin(mount.path / "d/t")
    os.rename(mount.path / "d/t", mount.path / "d/a")
    server.clear_faults()
    os.close(fd)
    mount.remount()
    check(mount, bucket, {"d/a": NEW[:PART]})
