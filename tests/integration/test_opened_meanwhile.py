"""A file is opened for writing while it is renamed or removed, which takes the server a while."""

import os
import threading

import pytest

from ossup_testlib import wait_until

OLD, NEW = b"old" * 1000, b"new" * 1000


@pytest.fixture
def mount(make_mount, server, bucket):
    bucket.put("d/a", OLD)
    mount = make_mount(settle="50ms", attr_timeout="1h", delete="sync").start()
    assert (mount.path / "d/a").read_bytes() == OLD  # the kernel knows the name
    return mount


def renaming(mount, server, old, new):
    """A thread that renames, and waits for the server."""
    server.fault("CopyObject", {"type": "stall", "until": "cleared"})
    thread = threading.Thread(target=os.rename, args=[mount.path / old, mount.path / new])
    thread.start()
    wait_until("the copy is on its way", lambda: server.fault_state()[0]["acted"])
    return thread


@pytest.mark.parametrize("begin", ["d/a", "d"])
def test_what_is_written_has_the_new_name(mount, server, bucket, begin):
    thread = renaming(mount, server, *(("d/a", "d/b") if begin == "d/a" else ("d", "e")))
    fd = os.open(mount.path / "d/a", os.O_WRONLY)
    server.clear_faults()
    thread.join()
    assert os.pwrite(fd, NEW, 0) == len(NEW)
    os.close(fd)
    new = "d/b" if begin == "d/a" else "e/a"
    assert (mount.path / new).read_bytes() == NEW
    mount.sync()
    assert bucket.get(new) == NEW
    assert bucket.get("d/a") is None
    assert (mount.path / new).read_bytes() == NEW


def test_what_is_written_to_the_replaced_file_has_no_name(mount, server, bucket):
    (mount.path / "d/b").write_bytes(b"replaced")
    mount.sync()
    thread = renaming(mount, server, "d/a", "d/b")
    fd = os.open(mount.path / "d/b", os.O_RDWR)
    server.clear_faults()
    thread.join()
    assert os.pwrite(fd, NEW, 0) == len(NEW)
    assert os.pread(fd, len(NEW) + 1, 0) == NEW
    os.close(fd)
    assert (mount.path / "d/b").read_bytes() == OLD
    mount.sync()
    assert bucket.keys() == ["d/", "d/b"] or bucket.keys() == ["d/b"]
    assert bucket.get("d/b") == OLD
    assert (mount.path / "d/b").read_bytes() == OLD


def test_what_is_written_to_an_unlinked_file_has_no_name(mount, server, bucket):
    server.fault("DeleteObject", {"type": "stall", "until": "cleared"})
    thread = threading.Thread(target=os.unlink, args=[mount.path / "d/a"])
    thread.start()
    wait_until("the delete is on its way", lambda: server.fault_state()[0]["acted"])
    fd = os.open(mount.path / "d/a", os.O_RDWR)
    server.clear_faults()
    thread.join()
    assert os.pwrite(fd, NEW, 0) == len(NEW)
    assert os.pread(fd, len(NEW) + 1, 0) == NEW
    os.close(fd)
    mount.sync()
    assert not (mount.path / "d/a").exists()
    assert bucket.get("d/a") is None
