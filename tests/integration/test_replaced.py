"""A name that was unlinked while somebody reads it, and made anew: the last close deletes nothing new."""

import errno
import os
import threading

import pytest

from ossup_testlib import wait_until


@pytest.fixture
def mount(make_mount):
    return make_mount(attr_timeout="1s", part_size="100K").start()


def check(mount, bucket, expected):
    mount.sync()
    for key, data in expected.items():
        path = mount.path / key
        assert bucket.get(key) == data, key
        assert (path.read_bytes() if path.exists() else None) == data, key


def by_writing(mount):
    (mount.path / "d/a").write_bytes(b"new")


def by_rename_of_an_object(mount):
    os.rename(mount.path / "x/a", mount.path / "d/a")


def by_rename_of_a_pending_file(mount):
    (mount.path / "y").write_bytes(b"new")
    os.rename(mount.path / "y", mount.path / "d/a")


def by_rename_of_a_changed_object(mount):
    with open(mount.path / "x/a", "r+b", 0) as file:
        file.write(b"n")
        os.rename(mount.path / "x/a", mount.path / "d/a")


def by_rename_of_the_directory(mount):
    (mount.path / "d").rmdir()
    os.rename(mount.path / "x", mount.path / "d")


def by_rename_of_a_directory_that_is_pending(mount):
    (mount.path / "z").mkdir()
    (mount.path / "z/a").write_bytes(b"new")
    (mount.path / "d").rmdir()
    os.rename(mount.path / "z", mount.path / "d")
    mount.sync()


@pytest.mark.parametrize("make", [by_writing, by_rename_of_an_object, by_rename_of_a_pending_file,
                                  by_rename_of_a_changed_object, by_rename_of_the_directory,
                                  by_rename_of_a_directory_that_is_pending])
@pytest.mark.parametrize("synced", [False, True])
def test_what_was_made_anew_stays(mount, bucket, make, synced):
    bucket.put("d/a", b"old")
    bucket.put("x/a", b"new")
    with open(mount.path / "d/a", "rb", 0):
        (mount.path / "d/a").unlink()
        make(mount)
        if synced:
            mount.sync()
    check(mount, bucket, {"d/a": b"new"})
    mount.remount()
    check(mount, bucket, {"d/a": b"new"})


HELD = {"type": "stall", "when": "before-body", "until": "cleared"}


def while_it_is_copied(mount, server, rename, **further):
    """The last reader closes while the copy to the old name is under way."""
    server.faults([{"operation": "CopyObject", "action": action, "nth": 1}
                   for action in (HELD, further) if action])
    errors = []

    def run():
        try:
            rename()
        except OSError as error:
            errors.append(error.errno)

    file = open(mount.path / "d/a", "rb", 0)  # noqa: SIM115 - closed in the middle
    (mount.path / "d/a").unlink()
    thread = threading.Thread(target=run)
    thread.start()
    wait_until("the copy is held", lambda: server.fault_state()[0]["acted"])
    file.close()
    server.clear_faults()
    thread.join()
    return errors


def test_closed_while_the_new_one_is_copied(mount, server, bucket):
    bucket.put("d/a", b"old")
    bucket.put("x/a", b"new")
    errors = while_it_is_copied(mount, server,
                                lambda: os.rename(mount.path / "x/a", mount.path / "d/a"))
    assert errors == []
    check(mount, bucket, {"d/a": b"new", "x/a": None})


def test_closed_while_a_rename_fails(mount, server, bucket):
    bucket.put("d/a", b"old")
    bucket.put("x/a", b"new")
    mount.allow_errors(".*")
    errors = while_it_is_copied(
        mount, server, lambda: os.rename(mount.path / "x/a", mount.path / "d/a"),
        type="status", status=403, code="AccessDenied")
    assert errors == [errno.EACCES]
    check(mount, bucket, {"d/a": None, "x/a": b"new"})
