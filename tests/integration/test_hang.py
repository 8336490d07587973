"""A dead network: what is local goes on, what is not has a way out."""

import contextlib
import errno
import os
import signal
import subprocess
import sys

import pytest

from ossup_testlib import wait_until

DATA = b"pending" * 1000


@contextlib.contextmanager
def silent(server):
    """The server's process is stopped: connections are taken and nothing is answered."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def bounded(*words, timeout=60):
    """A program that must end by itself; its status."""
    return subprocess.run(
        [str(w) for w in words], timeout=timeout, check=False, capture_output=True
    ).returncode


@pytest.fixture
def prepared(make_mount, bucket):
    bucket.put("remote", b"far" * 1000)
    mount = make_mount(settle="1h", attr_timeout="1h", request_timeout="20s").start()
    (mount.path / "d").mkdir()
    (mount.path / "d/file").write_bytes(DATA)
    os.listdir(mount.path)
    os.listdir(mount.path / "d")
    return mount


def test_pending_work_is_local_work(server, bucket, prepared):
    root = prepared.path
    with silent(server):
        for words in (
            ["cat", root / "d/file"],
            ["stat", root / "d/file"],
            ["ls", "-l", root / "d"],
            ["cp", root / "d/file", root / "d/copy"],
            ["dd", "if=/dev/zero", f"of={root}/d/file", "bs=10", "count=3", "conv=notrunc"],
            ["truncate", "-s", "5000", root / "d/copy"],
            ["mv", root / "d/copy", root / "d/moved"],
            ["mv", root / "d", root / "e"],
            ["rm", root / "e/moved"],
            ["chmod", "600", root / "e/file"],
        ):
            assert bounded(*words) == 0, words
    prepared.sync()
    assert bucket.keys() == ["e/", "e/file", "remote"]
    assert bucket.get("e/file") == bytes(30) + DATA[30:]


def waits_for_fuse(pid):
    with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
        return file.read() == "request_wait_answer"


def interrupt_blocked(program, root):
    """This Python program gets its Ctrl-C when it waits for the mount, and ends by it."""
    with subprocess.Popen(
        [sys.executable, "-c", program, root], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until("it waits for the mount", lambda: waits_for_fuse(process.pid))
            process.send_signal(signal.SIGINT)
            assert process.wait(60) != 0
            assert "KeyboardInterrupt" in process.stderr.read()
        finally:
            process.kill()


# Python handles SIGINT, so the signal is not fatal and the kernel waits for the daemon's answer.
CALLS = [
    "open(root + '/remote').read()",
    "os.listdir(root + '/unknown')",
    "os.stat(root + '/d/unknown')",
    "open(root + '/remote', 'r+b').read()",
    "os.rename(root + '/remote', root + '/d/here')",
    "os.mkdir(root + '/d/new')",
]


@pytest.mark.parametrize("call", CALLS, ids=["read", "list", "stat", "change", "rename", "mkdir"])
def test_interrupt_ends_a_blocked_call(server, make_mount, bucket, call):
    bucket.put("remote", b"far" * 1000)
    bucket.put("d/x", b"")
    mount = make_mount(settle="1h", attr_timeout="0", request_timeout="1h").start()
    program = f"import os, sys\nroot = sys.argv[1]\n{call}"
    with silent(server):
        interrupt_blocked(program, mount.path)
        assert bounded("stat", "-f", mount.path) == 0


def publishing(server, mount):
    """a and c are in the bucket, b is on its way, and the server never answers."""
    mount.start()
    mount.allow_errors(".*")
    for name in ("a", "c"):
        (mount.path / name).write_bytes(name.encode() * 1000)
    mount.sync()
    server.fault("PutObject", {"type": "stall"}, key="b")
    (mount.path / "b").write_bytes(DATA)
    wait_until("the request is held", lambda: server.fault_state()[0]["acted"])
    return mount.path


def check_nothing_changed(server, bucket, mount):
    for name, data in (("a", b"a" * 1000), ("b", DATA), ("c", b"c" * 1000)):
        assert (mount.path / name).read_bytes() == data
    mount.kill9()  # the request that is never answered goes with the daemon
    server.clear_faults()
    mount.options["request_timeout"] = "1h"
    mount.start()
    mount.sync()
    assert bucket.keys() == ["a", "b", "c"]
    assert bucket.get("b") == DATA
    os.rename(mount.path / "a", mount.path / "b")
    mount.sync()
    assert bucket.keys() == ["b", "c"]
    assert bucket.get("b") == b"a" * 1000


def test_rename_over_what_is_being_published_ends_at_its_deadline(server, bucket, make_mount):
    mount = make_mount(settle="0", attr_timeout="1h", request_timeout="2s")
    root = publishing(server, mount)
    with pytest.raises(OSError) as caught:
        os.rename(root / "a", root / "b")
    assert caught.value.errno in (errno.ETIMEDOUT, errno.EIO)
    check_nothing_changed(server, bucket, mount)


def test_interrupt_ends_a_rename_over_what_is_being_published(server, bucket, make_mount):
    mount = make_mount(settle="0", attr_timeout="1h", request_timeout="1h")
    root = publishing(server, mount)
    program = "import os, sys; os.rename(sys.argv[1] + '/a', sys.argv[1] + '/b')"
    interrupt_blocked(program, root)
    check_nothing_changed(server, bucket, mount)


def test_call_ends_at_its_deadline(server, make_mount, bucket):
    bucket.put("remote", b"far" * 1000)
    mount = make_mount(attr_timeout="0", request_timeout="1s").start()
    mount.allow_errors(".*")
    with silent(server):
        with pytest.raises(OSError) as caught:
            (mount.path / "remote").read_bytes()
    assert caught.value.errno in (errno.ETIMEDOUT, errno.EIO)

    def answered():
        with contextlib.suppress(OSError):  # a second may be too short on a slow machine
            return (mount.path / "remote").read_bytes()

    assert wait_until("it is read", answered) == b"far" * 1000


def test_sync_gives_up_at_its_timeout(server, prepared):
    with silent(server):
        done = prepared.run("sync", prepared.path, "--timeout", "1s", check=False)
        assert done.returncode == 124
    prepared.sync()


def test_umount_works_and_nothing_is_lost(server, bucket, make_mount):
    mount = make_mount(settle="0", drain="no").start()
    server.fault("PutObject", {"type": "stall"}, nth=1)
    (mount.path / "file").write_bytes(DATA)
    wait_until("the request is held", lambda: server.fault_state()[0]["acted"])
    with silent(server):
        mount.umount()
    server.clear_faults()
    assert bucket.get("file") is None
    mount.start()
    assert (mount.path / "file").read_bytes() == DATA
    mount.sync()
    assert bucket.get("file") == DATA


def test_server_that_is_gone(server, bucket, prepared):
    prepared.allow_errors(".*")
    server.kill()
    assert (prepared.path / "d/file").read_bytes() == DATA
    (prepared.path / "d/file").write_bytes(DATA[::-1])
    assert bounded("ls", "-l", prepared.path / "d") == 0
    assert prepared.run("sync", prepared.path, "--timeout", "1s", check=False).returncode == 124
    server.start()
    prepared.sync()
    assert bucket.get("d/file") == DATA[::-1]
