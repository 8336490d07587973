"""A directory rename that a crash cut short is finished while the mount is in use: what is new stays."""

import contextlib
import os
import threading

import pytest

from ossup_testlib import wait_until

OLD = {"f0": b"old 0", "f1": b"old 1", "f2": b"old 2"}


@pytest.fixture
def cut_short(make_mount, server, bucket):
    """A mount after the crash; the copy of f0 was not made, and is held until finished()."""
    for name, data in OLD.items():
        bucket.put(f"from/{name}", data)
    mount = make_mount(settle="0", attr_timeout="0").start()
    mount.allow_errors(".*")
    server.fault("CopyObject", {"type": "stall", "when": "after-body"}, key="to/f0")

    def rename():
        with contextlib.suppress(OSError):
            os.rename(mount.path / "from", mount.path / "to")

    thread = threading.Thread(target=rename)
    thread.start()
    wait_until("f0 is held, the others are copied",
               lambda: server.fault_state()[0]["acted"] and bucket.get("to/f1")
               and bucket.get("to/f2"))
    mount.kill9()
    thread.join()
    server.clear_faults()
    server.fault("CopyObject", {"type": "stall", "until": "cleared"}, key="to/f0")
    return mount


def finished(mount, server, bucket):
    wait_until("f0 is held", lambda: server.fault_state()[0]["acted"])
    server.clear_faults()
    wait_until("the rename is finished", lambda: bucket.get("to/f0") == OLD["f0"]
               and bucket.get("from/f0") is None)
    mount.sync()


def test_it_is_finished(cut_short, server, bucket):
    server.clear_log()
    mount = cut_short.start()
    finished(mount, server, bucket)
    wait_until("nothing is left", lambda: bucket.keys() == [f"to/{name}" for name in OLD])
    assert {name: bucket.get(f"to/{name}") for name in OLD} == OLD
    copied = [e["key"] for e in server.requests("CopyObject") if e["status"] == 200]
    assert copied == ["to/f0"]  # what had been copied is not copied again


def test_what_is_written_under_the_new_name_stays(cut_short, server, bucket):
    mount = cut_short.start()
    (mount.path / "to/f1").write_bytes(b"newer")
    mount.sync()
    finished(mount, server, bucket)
    assert bucket.get("to/f1") == b"newer"
    assert (mount.path / "to/f1").read_bytes() == b"newer"
    assert bucket.get("to/f2") == OLD["f2"]


def test_what_is_written_under_the_old_name_stays(cut_short, server, bucket):
    mount = cut_short.start()
    (mount.path / "from/f1").write_bytes(b"newer")
    mount.sync()
    finished(mount, server, bucket)
    assert b"newer" in (bucket.get("from/f1"), bucket.get("to/f1"))


def test_what_was_written_elsewhere_meanwhile_stays(cut_short, server, bucket):
    bucket.put("to/f1", b"by another machine")
    mount = cut_short.start()
    finished(mount, server, bucket)
    assert bucket.get("to/f1") == b"by another machine"
    assert bucket.get("from/f1") == OLD["f1"]
