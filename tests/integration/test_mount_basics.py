"""Files, directories and attributes of one mount; each test ends by asking the bucket or a remount."""

import contextlib
import errno
import mmap
import os
import random
import stat
import threading

import pytest

from ossup_testlib import wait_until

MIB = 1 << 20


@contextlib.contextmanager
def fails_with(number):
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno == number, os.strerror(caught.value.errno)


# -- content --


def test_written_file_reads_back_and_reaches_the_bucket(mount, bucket):
    data = random.Random(1).randbytes(300_000)
    (mount.path / "file").write_bytes(data)
    assert (mount.path / "file").read_bytes() == data
    assert (mount.path / "file").stat().st_size == len(data)
    mount.sync()
    assert bucket.get("file") == data
    mount.remount()
    assert (mount.path / "file").read_bytes() == data


def test_attributes_after_a_kill_are_those_of_the_bucket(mount):
    """OSS tells times by the second: a chmod in the same one as the write looks the same in a listing."""
    for number in range(4):
        path = mount.path / f"dir{number}"
        path.mkdir()
        mount.sync()
        path.chmod(0o700)
        mount.sync()
        mount.kill9()
        mount.start()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_file_that_vanishes_while_it_is_opened_is_made(mount, server, bucket):
    """Another client deletes it after the kernel has looked it up."""
    bucket.put("f", b"x" * 5000)
    server.fault("HeadObject", {"type": "stall", "until": "cleared"})
    thread = threading.Thread(target=(mount.path / "f").write_bytes, args=(b"new",))
    thread.start()
    wait_until("the open asks whether it is still there", lambda: server.fault_state()[0]["acted"])
    bucket.delete("f")
    server.clear_faults()
    thread.join()
    mount.sync()
    assert bucket.get("f") == b"new"


def test_empty_file(mount, bucket):
    (mount.path / "empty").touch()
    mount.sync()
    assert bucket.get("empty") == b""
    mount.remount()
    assert (mount.path / "empty").stat().st_size == 0
    assert (mount.path / "empty").read_bytes() == b""


def test_object_of_another_client_is_seen(mount, bucket):
    bucket.put("dir/there", b"from elsewhere")
    assert os.listdir(mount.path) == ["dir"]
    assert (mount.path / "dir/there").read_bytes() == b"from elsewhere"


def test_append(mount, bucket):
    for number in range(5):
        with open(mount.path / "log", "ab") as file:
            file.write(b"line %d\n" % number)
    mount.sync()
    with open(mount.path / "log", "ab") as file:
        file.write(b"after\n")
    mount.sync()
    assert bucket.get("log") == b"".join(b"line %d\n" % n for n in range(5)) + b"after\n"


def test_truncate(mount, bucket):
    path = mount.path / "file"
    path.write_bytes(b"0123456789")
    mount.sync()
    os.truncate(path, 4)
    assert path.read_bytes() == b"0123"
    os.truncate(path, 6)
    assert path.read_bytes() == b"0123\0\0"
    mount.sync()
    assert bucket.get("file") == b"0123\0\0"
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(b"new")
    mount.sync()
    assert bucket.get("file") == b"new"


def test_holes_are_zeros(mount, bucket):
    with open(mount.path / "sparse", "wb") as file:
        file.seek(3 * MIB)
        file.write(b"end")
    mount.sync()
    assert bucket.get("sparse") == bytes(3 * MIB) + b"end"


def overwrite_at_random(path, data, random_source, rounds):
    """The same writes, truncations and appends to the file and to the bytearray."""
    fd = os.open(path, os.O_RDWR)
    try:
        for _ in range(rounds):
            piece = random_source.randbytes(random_source.randint(1, 50_000))
            action = random_source.randrange(6)
            if action == 0:
                size = random_source.randrange(len(data) + 100_000)
                os.ftruncate(fd, size)
                del data[size:]
                data.extend(bytes(size - len(data)))
            else:
                at = len(data) if action == 1 else random_source.randrange(len(data) + 1)
                assert os.pwrite(fd, piece, at) == len(piece)
                data[at : at + len(piece)] = piece
            at = random_source.randrange(len(data) + 1)
            assert os.pread(fd, 10_000, at) == data[at : at + 10_000]
    finally:
        os.close(fd)


@pytest.mark.parametrize("seed", range(3))
def test_random_writes_equal_a_model(make_mount, bucket, seed):
    mount = make_mount(part_size="100K").start()
    source = random.Random(seed)
    data = bytearray(source.randbytes(2 * MIB))
    path = mount.path / "file"
    path.write_bytes(data)
    for _ in range(3):
        overwrite_at_random(path, data, source, 25)
        assert path.read_bytes() == data
        mount.sync()
        assert bucket.get("file") == data
        mount.remount()  # from here on the old bytes come from the bucket
        assert path.read_bytes() == data
    assert bucket.uploads() == []


def test_two_appenders_lose_nothing(mount, bucket):
    with open(mount.path / "log", "ab", 0) as one, open(mount.path / "log", "ab", 0) as two:
        for number in range(50):
            one.write(b"1 %d\n" % number)
            two.write(b"2 %d\n" % number)
    mount.sync()
    lines = bucket.get("log").splitlines()
    assert lines == [b"%d %d" % (w, n) for n in range(50) for w in (1, 2)]


def test_mmap(mount, bucket):
    path = mount.path / "mapped"
    path.write_bytes(bytes(10_000))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 10_000) as memory:
        memory[5000:5005] = b"hello"
        memory.flush()
    mount.sync()
    assert bucket.get("mapped") == bytes(5000) + b"hello" + bytes(4995)


def test_fsynced_file_is_published_while_it_is_open(mount, bucket):
    with open(mount.path / "open", "wb") as file:
        file.write(b"first")
        file.flush()
        os.fsync(file.fileno())
        mount.sync()
        assert bucket.get("open") == b"first"
        file.write(b" second")
    mount.sync()
    assert bucket.get("open") == b"first second"


# -- names --


def test_unlink(mount, bucket):
    (mount.path / "gone").write_bytes(b"x")
    mount.sync()
    (mount.path / "gone").unlink()
    with fails_with(errno.ENOENT):
        (mount.path / "gone").stat()
    assert os.listdir(mount.path) == []
    mount.sync()
    assert bucket.keys() == []


def test_unlinked_file_lives_as_long_as_it_is_open(mount, bucket):
    with open(mount.path / "tmp", "w+b") as file:
        file.write(b"scratch")
        file.flush()
        os.unlink(mount.path / "tmp")
        file.seek(0)
        assert file.read() == b"scratch"
        file.write(b" more")
        file.seek(0)
        assert file.read() == b"scratch more"
    mount.sync()
    assert bucket.keys() == []


def test_rename_before_and_after_the_upload(mount, bucket):
    (mount.path / "a").write_bytes(b"text")
    os.rename(mount.path / "a", mount.path / "b")
    mount.sync()
    assert bucket.keys() == ["b"]
    os.rename(mount.path / "b", mount.path / "c")
    assert (mount.path / "c").read_bytes() == b"text"
    mount.sync()
    assert bucket.keys() == ["c"]
    assert bucket.get("c") == b"text"


def test_rename_replaces(mount, bucket):
    (mount.path / "old").write_bytes(b"old")
    mount.sync()
    (mount.path / "new").write_bytes(b"new")
    os.rename(mount.path / "new", mount.path / "old")
    assert (mount.path / "old").read_bytes() == b"new"
    assert os.listdir(mount.path) == ["old"]
    mount.sync()
    assert bucket.keys() == ["old"]
    assert bucket.get("old") == b"new"


def test_rename_of_a_directory(mount, bucket):
    (mount.path / "a/sub").mkdir(parents=True)
    (mount.path / "a/file").write_bytes(b"1")
    (mount.path / "a/sub/file").write_bytes(b"2")
    mount.sync()
    (mount.path / "a/late").write_bytes(b"3")
    os.rename(mount.path / "a", mount.path / "b")
    assert sorted(os.listdir(mount.path / "b")) == ["file", "late", "sub"]
    mount.sync()
    assert bucket.keys() == ["b/", "b/file", "b/late", "b/sub/", "b/sub/file"]
    assert [bucket.get("b/" + n) for n in ("file", "sub/file", "late")] == [b"1", b"2", b"3"]
    mount.remount()
    assert (mount.path / "b/sub/file").read_bytes() == b"2"


def test_mkdir_and_rmdir(mount, bucket):
    (mount.path / "d").mkdir(mode=0o750)
    assert (mount.path / "d").is_dir()
    mount.sync()
    assert bucket.keys() == ["d/"]
    mount.remount()
    assert stat.S_IMODE((mount.path / "d").stat().st_mode) == 0o750
    (mount.path / "d").rmdir()
    assert os.listdir(mount.path) == []
    mount.sync()
    assert bucket.keys() == []


def test_directory_stays_when_its_last_file_goes(mount):
    (mount.path / "d").mkdir()
    (mount.path / "d/f").write_bytes(b"x")
    mount.sync()
    (mount.path / "d/f").unlink()
    mount.remount()
    assert os.listdir(mount.path) == ["d"]
    assert os.listdir(mount.path / "d") == []


NAMES = [
    "space and+plus",
    "percent%41",
    "quote'\"`$&;|<>\\",
    "目录-é-😀",
    "new\nline",
    "-rf",
    "..dots",
    "x" * 255,
]


def test_names(mount, bucket):
    for number, name in enumerate(NAMES):
        (mount.path / name).write_bytes(b"%d" % number)
    mount.sync()
    assert bucket.keys() == sorted(NAMES)
    mount.remount()
    assert sorted(os.listdir(mount.path)) == sorted(NAMES)
    for number, name in enumerate(NAMES):
        assert (mount.path / name).read_bytes() == b"%d" % number


def test_many_entries(mount, server, bucket):
    server.option(list_short_pages=100)
    for number in range(350):
        bucket.put(f"many/{number:04}", b"x")
    assert sorted(os.listdir(mount.path / "many")) == [f"{n:04}" for n in range(350)]


def test_errors_are_the_posix_ones(mount):
    root = mount.path
    (root / "file").write_bytes(b"x")
    (root / "dir/sub").mkdir(parents=True)
    with fails_with(errno.ENOENT):
        os.open(root / "no", os.O_RDONLY)
    with fails_with(errno.ENOENT):
        os.open(root / "no/such", os.O_CREAT | os.O_WRONLY)
    with fails_with(errno.EEXIST):
        os.open(root / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with fails_with(errno.EEXIST):
        os.mkdir(root / "file")
    with fails_with(errno.ENOTDIR):
        os.stat(root / "file/below")
    with fails_with(errno.ENOTDIR):
        os.rmdir(root / "file")
    with fails_with(errno.EISDIR):
        os.unlink(root / "dir")
    with fails_with(errno.EISDIR):
        os.open(root / "dir", os.O_WRONLY)
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(root / "dir")
    with fails_with(errno.EISDIR):
        os.rename(root / "file", root / "dir")
    with fails_with(errno.ENOTDIR):
        os.rename(root / "dir", root / "file")
    with fails_with(errno.EINVAL):
        os.rename(root / "dir", root / "dir/sub/below")
    with fails_with(errno.ENAMETOOLONG):
        os.open(root / ("x" * 256), os.O_CREAT | os.O_WRONLY)
    with fails_with(errno.EPERM):
        os.link(root / "file", root / "second")
    with fails_with(errno.EPERM):
        os.mkfifo(root / "fifo")
    with fails_with(errno.ENODATA):
        os.getxattr(root / "file", "user.none")


def test_read_only_mount_changes_nothing(make_mount, bucket):
    bucket.put("file", b"text")
    mount = make_mount(ro=True).start()
    assert (mount.path / "file").read_bytes() == b"text"
    for change in (
        lambda: (mount.path / "new").touch(),
        lambda: (mount.path / "file").unlink(),
        lambda: os.truncate(mount.path / "file", 0),
        lambda: os.chmod(mount.path / "file", 0o600),
    ):
        with fails_with(errno.EROFS):
            change()
    assert bucket.list() == {"file": (4, bucket.list()["file"][1])}


def test_prefix_is_a_root_of_its_own(make_mount, bucket):
    bucket.put("outside", b"")
    bucket.put("in/side", b"text")
    mount = make_mount(target="bucket:in").start()
    assert os.listdir(mount.path) == ["side"]
    (mount.path / "new").write_bytes(b"2")
    mount.sync()
    assert bucket.keys() == ["in/new", "in/side", "outside"]


# -- attributes --


def attributes(path):
    st = os.lstat(path)
    return st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns, st.st_size


def test_attributes_persist(mount):
    path = mount.path / "file"
    path.write_bytes(b"text")
    os.chmod(path, 0o4751)
    os.utime(path, ns=(1_000_000_001, 987_654_321_123_456_789))
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
        os.chmod(path, 0o4751)
    before = attributes(path)
    assert before[0] == stat.S_IFREG | 0o4751
    assert before[3] == 987_654_321_123_456_789
    mount.remount()
    assert attributes(path) == before


def test_attributes_of_an_uploaded_object_change_and_persist(mount, bucket):
    path = mount.path / "file"
    path.write_bytes(b"text")
    mount.sync()
    os.chmod(path, 0o600)
    os.utime(path, ns=(5, 1_000_000_000))
    before = attributes(path)
    mount.sync()
    assert bucket.meta("file")["mode"] == str(stat.S_IFREG | 0o600)
    mount.remount()
    assert attributes(path) == before
    assert path.read_bytes() == b"text"


def test_times_before_1970(mount):
    (mount.path / "file").write_bytes(b"x")
    (mount.path / "dir").mkdir()
    for name in ("file", "dir"):
        os.utime(mount.path / name, ns=(-1_000_000_000, -86_400_000_000_000 + 1))
    for _ in range(2):
        for name in ("file", "dir"):
            assert (mount.path / name).stat().st_mtime_ns == -86_400_000_000_000 + 1
        mount.remount()


def test_writing_moves_mtime_and_reading_does_not(mount):
    path = mount.path / "file"
    path.write_bytes(b"text")
    os.utime(path, ns=(1_000_000_000, 1_000_000_000))
    path.read_bytes()
    assert path.stat().st_mtime_ns == 1_000_000_000
    with open(path, "ab") as file:
        file.write(b"!")
    assert path.stat().st_mtime_ns > 1_000_000_000


def test_symlinks(mount):
    targets = {"plain": "target", "dangling": "../no/such", "long": "x/" * 1500 + "y", "ü": "é \n"}
    (mount.path / "target").write_bytes(b"text")
    for name, target in targets.items():
        os.symlink(target, mount.path / name)
    assert (mount.path / "plain").read_bytes() == b"text"
    mount.remount()
    for name, target in targets.items():
        assert os.readlink(mount.path / name) == target
        assert stat.S_ISLNK(os.lstat(mount.path / name).st_mode)
        assert os.lstat(mount.path / name).st_size == len(os.fsencode(target))
    with fails_with(errno.EINVAL):
        os.readlink(mount.path / "target")


def test_xattrs_persist(mount):
    path = mount.path / "file"
    path.write_bytes(b"text")
    os.setxattr(path, "user.one", b"1")
    os.setxattr(path, "user.bytes", bytes(range(256)))
    with fails_with(errno.EEXIST):
        os.setxattr(path, "user.one", b"2", os.XATTR_CREATE)
    with fails_with(errno.ENODATA):
        os.setxattr(path, "user.two", b"2", os.XATTR_REPLACE)
    mount.remount()
    assert {"user.one", "user.bytes"} <= set(os.listxattr(path))
    assert os.getxattr(path, "user.one") == b"1"
    assert os.getxattr(path, "user.bytes") == bytes(range(256))
    os.removexattr(path, "user.one")
    mount.remount()
    with fails_with(errno.ENODATA):
        os.getxattr(path, "user.one")


def test_statfs(mount):
    st = os.statvfs(mount.path)
    assert st.f_bsize > 0
    assert st.f_blocks >= st.f_bfree >= st.f_bavail > 0
    assert st.f_namemax == 255


# -- crashes and stops --


def test_closed_file_survives_kill_9(make_mount, bucket):
    mount = make_mount(settle="1h").start()
    (mount.path / "dir").mkdir()
    data = random.Random(9).randbytes(3 * MIB)
    (mount.path / "dir/file").write_bytes(data)
    mount.kill9()
    assert bucket.get("dir/file") is None
    mount.options["settle"] = "0"
    mount.start()
    assert (mount.path / "dir/file").read_bytes() == data
    mount.sync()
    assert bucket.get("dir/file") == data
    assert bucket.uploads() == []


def test_unmount_waits_for_uploads(make_mount, bucket):
    mount = make_mount(settle="1h").start()
    (mount.path / "file").write_bytes(b"text")
    mount.umount()
    assert bucket.get("file") == b"text"


def test_sigterm_unmounts_and_drains(make_mount, bucket):
    mount = make_mount(settle="1h").start()
    (mount.path / "file").write_bytes(b"text")
    assert mount.terminate() == 0
    assert not mount.is_mounted()
    assert bucket.get("file") == b"text"


def test_half_written_file_is_not_published_by_sigterm(make_mount, bucket):
    mount = make_mount(settle="0").start()
    (mount.path / "file").write_bytes(b"whole")
    mount.sync()
    with open(mount.path / "file", "r+b", 0) as file:
        file.write(b"half")
        assert mount.terminate() == 0
        assert bucket.get("file") == b"whole"
        with contextlib.suppress(OSError):  # the mount is gone
            file.close()
    mount.detach()
    mount.start()
    mount.sync()
    assert bucket.get("file") == b"whole"
