"""A bucket with a hierarchical namespace: real directories, and a rename is one request."""

import os
import shutil

import pytest

from ossup_testlib import wait_until


@pytest.fixture
def server(make_server):
    return make_server(arguments=["--hns"])


def tree(top, count=8):
    """Files on three levels; what they hold, by path below @top."""
    wanted = {}
    for d in ("", "a/", "a/b/", "c/"):
        os.makedirs(top / d, exist_ok=True)
        for i in range(count):
            wanted[f"{d}f{i}"] = f"{d}{i}".encode()
            (top / f"{d}f{i}").write_bytes(wanted[f"{d}f{i}"])
    return wanted


def found(top):
    return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}


def test_directories_are_made_and_removed(mount, bucket, server):
    os.mkdir(mount.path / "d")
    os.makedirs(mount.path / "d/e/f")
    (mount.path / "d/e/f/file").write_bytes(b"1")
    (mount.path / "implied").mkdir()
    (mount.path / "implied/file").write_bytes(b"2")  # its upload may make the directory first
    mount.sync()
    assert bucket.keys() == ["d/", "d/e/", "d/e/f/", "d/e/f/file", "implied/", "implied/file"]
    os.chmod(mount.path / "d", 0o700)  # directories keep no metadata: nothing to send
    os.unlink(mount.path / "implied/file")
    os.rmdir(mount.path / "implied")
    os.mkdir(mount.path / "empty")
    mount.sync()
    os.rmdir(mount.path / "empty")
    with pytest.raises(OSError, match="not empty"):
        os.rmdir(mount.path / "d")
    mount.sync()
    mount.remount()
    assert sorted(os.listdir(mount.path)) == ["d"]
    assert bucket.keys() == ["d/", "d/e/", "d/e/f/", "d/e/f/file"]
    assert not server.requests("DeleteMultipleObjects")


def test_a_tree_is_removed_from_its_leaves_up(mount, bucket, server):
    tree(mount.path / "t")
    mount.sync()
    shutil.rmtree(mount.path / "t")
    mount.sync()
    assert bucket.keys() == []
    assert len(server.requests("DeleteObject")) == 32
    assert {e["status"] for e in server.requests("DeleteObject", "DeleteDirectory")} <= {200, 204}


def test_a_directory_that_somebody_filled_stays_and_is_told(make_mount, bucket):
    mount = make_mount(settle="500ms").start()
    mount.allow_errors("delete refused key=d/|not deleted, shown again key=d/")
    os.mkdir(mount.path / "d")
    mount.sync()
    os.rmdir(mount.path / "d")
    bucket.put("d/theirs", b"x")
    mount.sync()
    wait_until("the directory is back", (mount.path / "d/theirs").exists)
    assert (mount.path / "d/theirs").read_bytes() == b"x"


def test_who_may_not_ask_has_an_ordinary_bucket(make_mount, make_server):
    server = make_server()
    server.fault("GetBucketInfo", {"type": "status", "status": 403, "code": "AccessDenied"})
    mount = make_mount(server=server).start()
    (mount.path / "d").mkdir()
    (mount.path / "d/f").write_bytes(b"x")
    mount.sync()
    os.rename(mount.path / "d", mount.path / "e")
    mount.sync()
    assert server.bucket().keys() == ["e/", "e/f"]
    assert not server.requests("RenameObject", "CreateDirectory")
