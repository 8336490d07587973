"""
What the kernel makes the daemon keep is bounded (inodes=), and nobody notices.

Each test is run twice: with this kernel, and with one that cannot be asked to forget inodes which
nothing uses (Linux before 6.18): there names of files are made invalid, and directories stay.
"""

import contextlib
import mmap
import os
import re
import stat
import subprocess
import sys

import pytest

from ossup_testlib import wait_until

LIMIT = 100
FOLDERS, FILES = 12, 40
TRUST = {"attr_timeout": "10m"}
META = {"x-oss-meta-mode": str(stat.S_IFREG | 0o640), "x-oss-meta-uid": "7",
        "x-oss-meta-gid": "8", "x-oss-meta-mtime": "1600000000.5"}


def can_prune():
    major, minor = re.match(r"(\d+)\.(\d+)", os.uname().release).groups()
    return (int(major), int(minor)) >= (6, 18)


@pytest.fixture(params=["kernel", "old_kernel"])
def limited(request, build, make_mount):
    """limited(...): a mount that is to keep LIMIT inodes. limited.prunes: directories, too."""
    library = build.path / "tests/integration/libold_kernel.so"

    def make(**options):
        mount = make_mount(**{"inodes": str(LIMIT), **TRUST, **options})
        if request.param == "old_kernel":
            mount.env["LD_PRELOAD"] = str(library)
        return mount.start()

    if request.param == "old_kernel" and not library.exists():
        pytest.skip("a sanitizer wants to be the first library")
    make.prunes = request.param == "kernel" and can_prune()
    return make


@pytest.fixture
def tree(server):
    """FOLDERS directories of FILES files each."""
    server.control("POST", "time", {"offset": -300})  # nobody is changing them just now
    for folder in range(FOLDERS):
        for file in range(FILES):
            server.put_behind(f"tree/{folder:02}/{file:03}", b"%d" % file, META)
    server.control("POST", "time", {"offset": 0})


def kept(mount):
    """Inodes in memory beside the directories that stay on an old kernel."""
    return mount.status()["inodes"]


def bounded(mount, extra=0):
    wait_until("few inodes are kept", lambda: kept(mount) <= LIMIT + 1 + extra)


def list_all(path):
    return subprocess.run(["ls", "-lRn", path], check=True, capture_output=True).stdout


def walk(mount):
    """Everything is looked up, and what nobody uses is given back."""
    listed = list_all(mount.path / "tree")
    assert listed.count(b" 2020 ") == FOLDERS * FILES, listed
    return listed


def test_inodes_stay_below_the_limit_and_a_second_ls_asks_for_no_attributes(limited, tree, server):
    mount = limited()
    directories = 0 if limited.prunes else FOLDERS + 1
    first = walk(mount)
    bounded(mount, directories)
    assert mount.status()["inodes_limit"] == LIMIT
    server.clear_log()
    assert list_all(mount.path / "tree") == first
    assert server.requests("HeadObject") == []
    lists = len(server.requests("ListObjectsV2"))
    assert lists <= 2 * (FOLDERS + 1)  # for a directory's own attributes, then for its names
    bounded(mount, directories)
    for folder in range(FOLDERS):
        for file in range(0, FILES, 17):
            assert (mount.path / f"tree/{folder:02}/{file:03}").read_bytes() == b"%d" % file
    bounded(mount, directories)


def test_directories_are_given_back_where_the_kernel_can(limited, server):
    for folder in range(5 * LIMIT):
        server.put_behind(f"many/{folder:03}/in/file", b"x")
    mount = limited()
    first = list_all(mount.path / "many")
    bounded(mount, 0 if limited.prunes else 2 * 5 * LIMIT + 1)
    assert list_all(mount.path / "many") == first
    assert (mount.path / "many/007/in/file").read_bytes() == b"x"


def test_attributes_are_recalled_from_the_disk_after_a_remount(limited, tree, server):
    mount = limited()
    first = walk(mount)
    mount.remount()
    assert mount.status()["cached_attributes"] <= 2  # of what has been asked for since
    assert mount.status()["known_attributes"] >= FOLDERS * FILES
    server.clear_log()
    assert list_all(mount.path / "tree") == first
    assert server.requests("HeadObject") == []
    assert mount.status()["cached_attributes"] < FOLDERS * FILES
    os.rename(mount.path / "tree/03", mount.path / "tree/moved")
    server.clear_log()
    assert list_all(mount.path / "tree/moved").count(b" 2020 ") == FILES
    assert server.requests("HeadObject") == []


@contextlib.contextmanager
def working_in(path):
    """A program with its working directory there; asked for a line it answers with its path."""
    program = "import os,sys\nfor line in sys.stdin: print(os.getcwd(), os.listdir('.'), flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], cwd=path, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        def where():
            process.stdin.write("?\n")
            process.stdin.flush()
            return process.stdout.readline()

        try:
            yield where
        finally:
            process.stdin.close()
            process.wait(60)


def test_what_is_in_use_survives(limited, tree, bucket):
    big = os.urandom(3 << 20)
    bucket.put("used/read", big)
    for name in ("mapped", "seen", "path", "changed"):
        bucket.put(f"used/{name}", name.encode() * 1000)
    mount = limited(settle="1h", drain="no")
    used = mount.path / "used"
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(working_in(used))
        before = where()
        assert str(used) in before
        reader = stack.enter_context(open(used / "read", "rb", buffering=0))
        assert reader.read(1 << 20) == big[:1 << 20]
        with open(used / "mapped", "rb") as file:
            mapped = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        directory = stack.enter_context(os.scandir(used))
        first = next(directory).name
        path = os.open(used / "path", os.O_PATH)
        stack.callback(os.close, path)
        number = os.fstat(path).st_ino
        writer = stack.enter_context(open(used / "new", "wb", buffering=0))
        writer.write(b"one")
        changer = stack.enter_context(open(used / "changed", "r+b", buffering=0))
        changer.write(b"CHANGED")
        (used / "staged").write_bytes(b"staged")
        os.symlink("staged", used / "link")
        os.utime(used / "staged", ns=(1, 1_500_000_000_123_456_789))

        walk(mount)
        bounded(mount, 20 + (0 if limited.prunes else FOLDERS + 2))

        assert reader.read() == big[1 << 20:]
        assert mapped[:] == b"mapped" * 1000
        assert os.fstat(path).st_ino == number
        assert os.stat(used / "path").st_ino == number
        writer.write(b"two")
        changer.write(b"AGAIN")
        assert (used / "new").read_bytes() == b"onetwo"
        assert (used / "link").read_bytes() == b"staged"
        assert os.stat(used / "staged").st_mtime_ns == 1_500_000_000_123_456_789
        names = {first, *(entry.name for entry in directory)}
        assert names >= {"read", "mapped", "seen", "path", "changed"}
        assert before.split(" ")[0] == where().split(" ")[0]
    mount.sync()
    assert bucket.get("used/new") == b"onetwo"
    assert bucket.get("used/changed") == b"CHANGEDAGAIN" + (b"changed" * 1000)[12:]
    assert bucket.get("used/staged") == b"staged"


def test_many_written_files_are_given_back_once_they_are_in_the_bucket(limited, bucket):
    mount = limited(settle="0")
    os.mkdir(mount.path / "out")
    for file in range(5 * LIMIT):
        (mount.path / f"out/{file:03}").write_bytes(b"%d" % file)
    mount.sync()
    bounded(mount, 2 + LIMIT // 8)
    assert {key: bucket.get(key) for key in bucket.keys("out/0")} == {
        f"out/{file:03}": b"%d" % file for file in range(100)}


@contextlib.contextmanager
def hanging_lookup(server, path):
    """A program that looks a name up, whose attributes do not come."""
    with subprocess.Popen(["stat", path], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        wait_until("its attributes are asked for",
                   lambda: any(rule["acted"] for rule in server.fault_state()))
        wait_until("it waits for the mount", lambda: waits_for_fuse(process.pid))
        yield process
        server.clear_faults()
        process.wait(60)


def waits_for_fuse(pid):
    with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
        return file.read() == "request_wait_answer"


def test_names_beside_one_that_hangs_stay(limited, tree, server):
    server.fault("HeadObject", {"type": "stall", "until": "cleared"}, key="tree/00/!hangs")
    server.put_behind("tree/00/!hangs", b"x")
    mount = limited()
    for file in range(FILES):
        os.stat(mount.path / f"tree/00/{file:03}")
    with hanging_lookup(server, mount.path / "tree/00/!hangs"):
        for folder in range(1, FOLDERS):
            list_all(mount.path / f"tree/{folder:02}")
        bounded(mount, 1 if limited.prunes else FOLDERS + 2)
        for file in range(FILES):
            os.stat(mount.path / f"tree/00/{file:03}")


def gives_back(mount):
    """The state of the thread that does it."""
    for task in os.listdir(f"/proc/{mount.process.pid}/task"):
        with open(f"/proc/{mount.process.pid}/task/{task}/stat", encoding="utf-8") as file:
            name, rest = file.read().split("(", 1)[1].rsplit(") ", 1)
        if name == "giveback":
            return rest[0]
    raise AssertionError("there is no such thread")


@contextlib.contextmanager
def opened(path):
    """Open; also when the mount has gone by the end."""
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            os.close(file)


@pytest.mark.parametrize("end", ["kill9", "terminate"])
def test_the_mount_ends_while_it_is_waited_for_a_call_that_hangs(limited, server, end):
    server.fault("HeadObject", {"type": "stall", "until": "cleared"}, key="flat/!hangs")
    server.put_behind("flat/!hangs", b"x")
    for name in range(LIMIT - 10):
        server.put_behind(f"flat/{name}", b"x")
    for name in range(LIMIT):
        server.put_behind(f"used/{name}", b"x")
    mount = limited()
    for name in range(LIMIT - 10):
        os.stat(mount.path / f"flat/{name}")
    with contextlib.ExitStack() as stack:
        for name in range(5):
            stack.enter_context(opened(mount.path / f"used/{name}"))
        stack.enter_context(hanging_lookup(server, mount.path / "flat/!hangs"))
        for name in range(5, LIMIT // 4):
            stack.enter_context(opened(mount.path / f"used/{name}"))
        wait_until("it is waited for, or left alone",
                   lambda: gives_back(mount) == "D" or "given back" in mount.log())
        if end == "kill9":
            mount.kill9()
        else:
            assert mount.terminate() == 0


@pytest.mark.parametrize("end", ["umount", "terminate"])
def test_the_mount_ends_while_inodes_are_given_back(limited, tree, end):
    mount = limited(attr_timeout="0")
    with subprocess.Popen(["ls", "-lR", mount.path / "tree"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as lister:
        wait_until("inodes were given back", lambda: "given back" in mount.log())
        if end == "terminate":
            assert mount.terminate() == 0
        lister.kill()
        lister.wait()
    if end == "umount":
        mount.umount()
