"""A bucket with a hierarchical namespace: real directories, and a rename is one request."""

import contextlib
import errno
import os
import shutil
import threading

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


# -- renames --


def moves(server):
    """What was asked of the bucket to rename something."""
    wanted = ("RenameObject", "CopyObject", "UploadPartCopy", "DeleteObject", "DeleteDirectory",
              "CreateDirectory", "PutObject")
    return [e["operation"] for e in server.requests(*wanted)]


@pytest.fixture
def full(make_mount):
    """A mount with a directory of uploaded files."""
    mount = make_mount(settle="200ms").start()
    mount.wanted = tree(mount.path / "from")
    mount.sync()
    return mount


def keys_of(wanted, top):
    names = {f"{top}/"} | {f"{top}/{os.path.dirname(name)}/" for name in wanted if "/" in name}
    return sorted(names | {f"{top}/{name}" for name in wanted})


def test_an_uploaded_directory_is_renamed_by_one_request(full, bucket, server):
    os.chmod(full.path / "from/a/b/f1", 0o604)
    full.sync()
    server.clear_log()
    os.rename(full.path / "from", full.path / "to")
    full.sync()
    assert moves(server) == ["RenameObject"]
    assert bucket.keys() == keys_of(full.wanted, "to")
    assert found(full.path / "to") == full.wanted
    assert not (full.path / "from").exists()
    full.remount()
    assert found(full.path / "to") == full.wanted
    assert os.stat(full.path / "to/a/b/f1").st_mode & 0o777 == 0o604


def test_an_uploaded_file_is_renamed_by_one_request(full, bucket, server):
    os.chmod(full.path / "from/f1", 0o604)
    full.sync()
    server.clear_log()
    with open(full.path / "from/f1", "rb") as reader:
        os.rename(full.path / "from/f1", full.path / "from/a/new")
        assert reader.read() == full.wanted["f1"]
    full.sync()
    assert moves(server) == ["RenameObject"]
    assert bucket.get("from/a/new") == full.wanted["f1"]
    assert bucket.get("from/f1") is None
    assert os.stat(full.path / "from/a/new").st_mode & 0o777 == 0o604
    os.rename(full.path / "from/f2", full.path / "from/f3")  # no such request overwrites
    full.sync()
    assert bucket.get("from/f3") == full.wanted["f2"]
    assert (full.path / "from/f3").read_bytes() == full.wanted["f2"]
    assert bucket.get("from/f2") is None


def change(mount, top):
    """All kinds of what waits for its upload; what is to be below @top in the end."""
    wanted = dict(mount.wanted)
    with open(mount.path / top / "a/f1", "ab") as f:
        f.write(b"tail")
    (mount.path / top / "a/new").write_bytes(b"new")
    os.chmod(mount.path / top / "f2", 0o604)
    os.unlink(mount.path / top / "f3")
    os.rename(mount.path / top / "f4", mount.path / top / "c/moved")
    os.mkdir(mount.path / top / "c/dir")
    wanted["a/f1"] += b"tail"
    wanted["a/new"] = b"new"
    wanted["c/moved"] = wanted.pop("f4")
    del wanted["f3"]
    return wanted


def test_what_waits_below_goes_along(make_mount, bucket, server):
    mount = make_mount(settle="1h").start()
    mount.wanted = tree(mount.path / "from")
    mount.sync()
    wanted = change(mount, "from")
    server.clear_log()
    os.rename(mount.path / "from", mount.path / "to")
    assert "PutObject" not in moves(server)  # nothing had to be uploaded for it
    assert found(mount.path / "to") == wanted
    mount.sync()
    assert len(server.requests("RenameObject")) == 1
    assert bucket.keys() == sorted([*keys_of(wanted, "to"), "to/c/dir/"])
    for name, data in wanted.items():
        assert bucket.get(f"to/{name}") == data
    assert os.stat(mount.path / "to/f2").st_mode & 0o777 == 0o604
    mount.remount()
    assert found(mount.path / "to") == wanted


def test_it_goes_over_an_empty_directory_and_into_a_new_one(full, bucket, server):
    os.mkdir(full.path / "empty")
    full.sync()
    server.clear_log()
    os.rename(full.path / "from", full.path / "empty")
    os.makedirs(full.path / "x/y")
    os.rename(full.path / "empty", full.path / "x/y/z")
    full.sync()
    assert bucket.keys() == ["x/", "x/y/", *keys_of(full.wanted, "x/y/z")]
    assert len(server.requests("CopyObject")) == 0
    assert found(full.path / "x/y/z") == full.wanted


def test_what_others_put_there_is_not_overwritten(make_mount, bucket):
    mount = make_mount(attr_timeout="1h").start()
    wanted = tree(mount.path / "from")
    mount.sync()
    os.listdir(mount.path)
    bucket.put("to/theirs", b"x")
    with pytest.raises(OSError) as refused:
        os.rename(mount.path / "from", mount.path / "to")
    assert refused.value.errno == errno.ENOTEMPTY
    assert bucket.get("to/theirs") == b"x"
    assert found(mount.path / "from") == wanted
    mount.remount()
    assert found(mount.path / "from") == wanted


def test_a_copy_of_what_is_below_is_made_before_it_goes(full, bucket):
    os.makedirs(full.path / "copies")
    source = os.open(full.path / "from/f1", os.O_RDONLY)
    for target in ("copies/f1", "from/copy"):
        with open(full.path / target, "wb") as f:
            os.copy_file_range(source, f.fileno(), len(full.wanted["f1"]), 0)
    os.close(source)
    os.rename(full.path / "from", full.path / "to")
    full.sync()
    assert bucket.get("copies/f1") == bucket.get("to/copy") == full.wanted["f1"]
    assert bucket.get("to/f1") == full.wanted["f1"]
    assert bucket.get("from/copy") is None


def test_an_unlinked_file_that_is_read_does_not_come_back(full, bucket):
    with open(full.path / "from/f1", "rb") as reader:
        os.unlink(full.path / "from/f1")
        os.rename(full.path / "from", full.path / "to")
        assert reader.read() == full.wanted["f1"]
    full.sync()
    assert bucket.get("to/f1") is None
    wait_until("the unlinked object is gone", lambda: bucket.get("from/f1") is None)


@pytest.mark.parametrize("fault", [{"type": "apply-no-answer"}, {"type": "cut-after-body"},
                                   {"type": "status", "status": 500, "code": "InternalError"},
                                   {"type": "html", "apply": True}])
def test_an_answer_that_is_lost(full, bucket, server, fault):
    server.fault("RenameObject", fault, nth=1)
    os.rename(full.path / "from", full.path / "to")
    server.fault("RenameObject", fault, nth=1)
    os.rename(full.path / "to/f1", full.path / "to/g1")
    full.wanted["g1"] = full.wanted.pop("f1")
    full.sync()
    assert bucket.keys() == keys_of(full.wanted, "to")
    assert not server.requests("CopyObject")
    assert found(full.path / "to") == full.wanted


def test_where_it_is_refused_copies_do_it(full, bucket, server):
    server.fault("RenameObject", {"type": "status", "status": 400, "code": "OperationNotSupported"})
    wanted = change(full, "from")
    os.rename(full.path / "from", full.path / "to")
    os.rename(full.path / "to/f5", full.path / "to/g5")
    wanted["g5"] = wanted.pop("f5")
    full.sync()
    assert bucket.keys() == sorted([*keys_of(wanted, "to"), "to/c/dir/"])
    assert found(full.path / "to") == wanted


def in_background(work):
    def quietly():
        with contextlib.suppress(OSError):
            work()

    thread = threading.Thread(target=quietly)
    thread.start()
    return thread


def test_nobody_sees_names_missing_meanwhile(full, server):
    server.fault("RenameObject", {"type": "stall", "when": "after-apply", "ms": 1000})
    with open(full.path / "from/a/f1", "rb", buffering=0) as reader, \
            open(full.path / "from/a/f2", "r+b", buffering=0) as writer:
        inside = os.open(full.path / "from/a", os.O_RDONLY | os.O_DIRECTORY)
        renaming = in_background(lambda: os.rename(full.path / "from", full.path / "to"))
        wait_until("the bucket has renamed it", lambda: server.fault_state()[0]["acted"])
        assert reader.read() == full.wanted["a/f1"]
        writer.seek(0, os.SEEK_END)
        assert writer.write(b"tail") == 4
        assert "f3" in os.listdir(inside)
        assert os.stat("f4", dir_fd=inside).st_size == len(full.wanted["a/f4"])
        os.close(inside)
        renaming.join()
    full.wanted["a/f2"] += b"tail"
    full.sync()
    full.remount()
    assert found(full.path / "to") == full.wanted


@pytest.mark.parametrize("when", ["after-body", "after-apply"])
def test_it_is_killed_meanwhile(make_mount, server, bucket, when):
    mount = make_mount(settle="1h", close="spool").start()
    mount.wanted = tree(mount.path / "from")
    mount.sync()
    wanted = change(mount, "from")
    server.fault("RenameObject", {"type": "stall", "when": when}, nth=1)
    renaming = in_background(lambda: os.rename(mount.path / "from", mount.path / "to"))
    wait_until("the request is out", lambda: server.fault_state()[0]["acted"])
    mount.kill9()
    renaming.join()
    top = "to" if when == "after-apply" else "from"
    mount.options["settle"] = "0"
    mount.start()
    wait_until("it is known what became of it",
               lambda: (mount.path / top / "a/new").exists())
    mount.sync()
    assert found(mount.path / top) == wanted
    assert bucket.keys() == sorted([*keys_of(wanted, top), f"{top}/c/dir/"])
    assert {name: bucket.get(f"{top}/{name}") for name in wanted} == wanted
    assert sorted(os.listdir(mount.path)) == [top]
