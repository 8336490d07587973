"""System calls and their error numbers, on files that are pending and on files in the bucket."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import random
import stat
import threading

import pytest

RENAME_NOREPLACE, RENAME_EXCHANGE, AT_FDCWD = 1, 2, -100
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def fails_with(*numbers):
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno in numbers, os.strerror(caught.value.errno)


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old, new, flags):
    checked(
        LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)
    )


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


def utimensat(path, atime, mtime):
    times = (Timespec * 2)(Timespec(*atime), Timespec(*mtime))
    checked(LIBC.utimensat(AT_FDCWD, os.fsencode(path), times, 0))


@pytest.fixture(params=["pending", "uploaded"])
def settled(request, make_mount):
    """(mount, settle): settle() brings what was made so far into the state that is tested."""
    pending = request.param == "pending"
    mount = make_mount(settle="1h" if pending else "50ms").start()
    return mount, (lambda: None) if pending else mount.sync


def content_of(bucket):
    return {key: bucket.get(key) for key in bucket.keys()}


# -- error numbers --


def test_error_numbers(settled):
    mount, settle = settled
    root = mount.path
    (root / "file").write_bytes(b"x")
    (root / "dir/sub").mkdir(parents=True)
    (root / "empty").mkdir()
    os.symlink("loop", root / "loop")
    settle()
    cases = [
        (errno.ENOENT, os.stat, "no"),
        (errno.ENOENT, os.stat, "no/such"),
        (errno.ENOENT, os.unlink, "no"),
        (errno.ENOENT, os.rmdir, "no"),
        (errno.ENOENT, os.mkdir, "no/such"),
        (errno.ENOENT, os.listdir, "no"),
        (errno.ENOENT, os.readlink, "no"),
        (errno.ENOENT, lambda p: os.chmod(p, 0o600), "no"),
        (errno.ENOENT, lambda p: os.truncate(p, 0), "no"),
        (errno.ENOENT, lambda p: os.rename(p, root / "new"), "no"),
        (errno.ENOENT, lambda p: os.rename(root / "file", p), "no/such"),
        (errno.ENOENT, lambda p: os.symlink("t", p), "no/such"),
        (errno.EEXIST, os.mkdir, "file"),
        (errno.EEXIST, os.mkdir, "dir"),
        (errno.EEXIST, lambda p: os.symlink("t", p), "file"),
        (errno.EEXIST, lambda p: os.symlink("t", p), "dir"),
        (errno.EEXIST, lambda p: os.open(p, os.O_CREAT | os.O_EXCL), "file"),
        (errno.EEXIST, lambda p: os.open(p, os.O_CREAT | os.O_EXCL), "loop"),
        (errno.EEXIST, lambda p: os.mknod(p, stat.S_IFREG | 0o600), "file"),
        (errno.ENOTDIR, os.stat, "file/below"),
        (errno.ENOTDIR, os.mkdir, "file/below"),
        (errno.ENOTDIR, os.listdir, "file"),
        (errno.ENOTDIR, os.rmdir, "file"),
        (errno.ENOTDIR, lambda p: os.open(p, os.O_DIRECTORY), "file"),
        (errno.ENOTDIR, lambda p: os.rename(root / "dir", p), "file"),
        (errno.EISDIR, os.unlink, "dir"),
        (errno.EISDIR, lambda p: os.open(p, os.O_WRONLY), "dir"),
        (errno.EISDIR, lambda p: os.truncate(p, 0), "dir"),
        (errno.EISDIR, lambda p: os.rename(root / "file", p), "empty"),
        (errno.ENOTEMPTY, os.rmdir, "dir"),
        (errno.ENOTEMPTY, lambda p: os.rename(root / "empty", p), "dir"),
        (errno.EINVAL, lambda p: os.rename(root / "dir", p), "dir/sub/below"),
        (errno.EINVAL, lambda p: os.rename(root / "dir", p), "dir/below"),
        (errno.EINVAL, os.readlink, "file"),
        (errno.EINVAL, os.readlink, "dir"),
        (errno.EINVAL, os.rmdir, "dir/."),
        (errno.ENOTEMPTY, os.rmdir, "dir/sub/.."),
        (errno.ELOOP, os.stat, "loop"),
        (errno.ELOOP, os.listdir, "loop"),
        (errno.ELOOP, lambda p: os.open(p, os.O_RDONLY | os.O_NOFOLLOW), "loop"),
        (errno.EPERM, lambda p: os.link(root / "file", p), "second"),
        (errno.EPERM, os.mkfifo, "fifo"),
        (errno.EPERM, lambda p: os.mknod(p, stat.S_IFSOCK | 0o600), "socket"),
        (errno.ENODATA, lambda p: os.getxattr(p, "user.none"), "file"),
        (errno.ENODATA, lambda p: os.removexattr(p, "user.none"), "file"),
    ]
    for number, call, name in cases:
        with pytest.raises(OSError) as caught:
            call(root / name if not name.endswith(("/.", "/..")) else f"{root}/{name}")
        assert caught.value.errno == number, (name, errno.errorcode[caught.value.errno])
    assert sorted(os.listdir(root)) == ["dir", "empty", "file", "loop"]


def test_descriptors_keep_to_their_mode(mount):
    path = mount.path / "file"
    path.write_bytes(b"text")
    with open(path, "rb", 0) as file:
        with fails_with(errno.EBADF):
            os.write(file.fileno(), b"x")
        with fails_with(errno.EINVAL, errno.EBADF):
            os.ftruncate(file.fileno(), 0)
    with open(path, "wb", 0) as file, fails_with(errno.EBADF):
        os.read(file.fileno(), 1)
    with fails_with(errno.EINVAL):
        os.truncate(path, -1)
    with open(path, "wb", 0) as file, fails_with(errno.EFBIG, errno.EINVAL):
        os.pwrite(file.fileno(), b"x", (1 << 63) - 1)


def test_names_that_no_key_can_hold(mount, bucket):
    root = os.fsencode(mount.path)
    with fails_with(errno.ENAMETOOLONG):
        os.open(root + b"/" + b"n" * 256, os.O_CREAT | os.O_WRONLY)
    with fails_with(errno.ENAMETOOLONG):
        os.mkdir(root + b"/" + b"n" * 256)
    with fails_with(errno.ENAMETOOLONG):
        os.stat(root + b"/" + b"n" * 256)
    for call in (
        lambda p: os.open(p, os.O_CREAT | os.O_WRONLY),
        os.mkdir,
        lambda p: os.symlink("t", p),
        lambda p: os.rename(root + b"/file", p),
    ):
        (mount.path / "file").touch()
        for name in (b"\xff", b"a\xc3(", b"\xed\xa0\x80", b"\\first"):
            with fails_with(errno.EILSEQ):
                call(root + b"/" + name)
    for name in (b"\xff", b"\\first"):
        with fails_with(errno.ENOENT, errno.EILSEQ):
            os.stat(root + b"/" + name)
    assert os.listdir(root) == [b"file"]
    mount.sync()
    assert bucket.keys() == ["file"]


def test_key_of_1023_bytes_is_the_longest(mount, bucket):
    deep = mount.path / "d" / ("a" * 255) / ("b" * 255) / ("c" * 255)
    deep.mkdir(parents=True)
    used = len("d/") + 3 * 256
    longest = deep / ("x" * (1023 - used))
    longest.write_bytes(b"text")
    with fails_with(errno.ENAMETOOLONG):
        os.open(deep / ("y" * (1024 - used)), os.O_CREAT | os.O_WRONLY)
    with fails_with(errno.ENAMETOOLONG):
        os.mkdir(deep / ("y" * (1023 - used)))  # its key ends in a slash
    with fails_with(errno.ENAMETOOLONG):
        os.rename(mount.path / "d", mount.path / "dd")  # what is below would not fit
    mount.sync()
    with fails_with(errno.ENAMETOOLONG):
        os.rename(mount.path / "d", mount.path / "dd")
    assert longest.read_bytes() == b"text"
    mount.remount()
    assert longest.read_bytes() == b"text"
    assert max(map(len, bucket.keys())) == 1023
    os.rename(mount.path / "d", mount.path / "e")
    mount.sync()
    assert all(key.startswith("e/") for key in bucket.keys())


def test_deep_paths(make_mount, bucket):
    mount = make_mount(attr_timeout="10s").start()
    deep = mount.path / "/".join(["d"] * 200)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"text")
    mount.remount()
    assert (deep / "file").read_bytes() == b"text"
    assert bucket.get("d/" * 200 + "file") == b"text"
    assert sum(1 for _ in os.walk(mount.path)) == 201


def test_read_only_mount(make_mount, bucket):
    bucket.put("file", b"text")
    bucket.put("dir/file", b"text")
    root = make_mount(ro=True).start().path
    before = content_of(bucket)
    for call in (
        lambda: os.open(root / "new", os.O_CREAT | os.O_WRONLY),
        lambda: os.open(root / "file", os.O_RDWR),
        lambda: os.mkdir(root / "new"),
        lambda: os.rmdir(root / "dir"),
        lambda: os.unlink(root / "file"),
        lambda: os.rename(root / "file", root / "new"),
        lambda: os.symlink("t", root / "new"),
        lambda: os.truncate(root / "file", 0),
        lambda: os.chmod(root / "file", 0o600),
        lambda: os.utime(root / "file"),
        lambda: os.setxattr(root / "file", "user.a", b"1"),
    ):
        with fails_with(errno.EROFS):
            call()
    assert (root / "file").read_bytes() == b"text"
    assert content_of(bucket) == before


# -- rename --


def test_rename_combinations(settled, bucket):
    mount, settle = settled
    root = mount.path
    for name in ("a", "b", "c"):
        (root / name).write_bytes(name.encode())
    (root / "full").mkdir()
    (root / "full/x").write_bytes(b"x")
    for name in ("empty1", "empty2"):
        (root / name).mkdir()
    os.symlink("a", root / "link")
    settle()
    os.rename(root / "a", root / "b")  # a file over a file
    os.rename(root / "c", root / "c")  # onto itself
    os.rename(root / "full", root / "empty1")  # a directory over an empty one
    os.rename(root / "link", root / "c")  # a link over a file
    with fails_with(errno.ENOTEMPTY):
        os.rename(root / "empty2", root / "empty1")
    with fails_with(errno.EISDIR):
        os.rename(root / "b", root / "empty2")
    with fails_with(errno.ENOTDIR):
        os.rename(root / "empty2", root / "b")
    os.rename(root / "b", root / "empty2/b")
    assert sorted(os.listdir(root)) == ["c", "empty1", "empty2"]
    assert os.readlink(root / "c") == "a"
    mount.umount()
    assert content_of(bucket) == {
        "c": b"a",
        "empty1/": b"",
        "empty1/x": b"x",
        "empty2/": b"",
        "empty2/b": b"a",
    }


def test_rename_noreplace(settled):
    mount, settle = settled
    root = mount.path
    (root / "a").write_bytes(b"a")
    (root / "b").write_bytes(b"b")
    (root / "dir").mkdir()
    settle()
    for target in ("b", "dir"):
        with fails_with(errno.EEXIST):
            renameat2(root / "a", root / target, RENAME_NOREPLACE)
    with fails_with(errno.EINVAL):
        renameat2(root / "a", root / "b", RENAME_EXCHANGE)
    renameat2(root / "a", root / "new", RENAME_NOREPLACE)
    assert (root / "new").read_bytes() == b"a"
    assert (root / "b").read_bytes() == b"b"


def test_rename_over_an_open_file(settled, bucket):
    mount, settle = settled
    root = mount.path
    (root / "old").write_bytes(b"old")
    settle()
    with open(root / "old", "r+b", 0) as file:
        (root / "new").write_bytes(b"new")
        os.rename(root / "new", root / "old")
        assert os.pread(file.fileno(), 10, 0) == b"old"
        os.pwrite(file.fileno(), b"OLD!", 0)
        assert os.pread(file.fileno(), 10, 0) == b"OLD!"
        assert os.fstat(file.fileno()).st_nlink == 0
        assert (root / "old").read_bytes() == b"new"
    mount.umount()
    assert content_of(bucket) == {"old": b"new"}


def test_renamed_file_that_is_open_is_written_under_its_new_name(settled, bucket):
    mount, settle = settled
    root = mount.path
    (root / "d").mkdir()
    (root / "d/a").write_bytes(b"one")
    settle()
    with open(root / "d/a", "ab", 0) as file:
        file.write(b" two")
        os.rename(root / "d/a", root / "d/b")
        file.write(b" three")
        os.rename(root / "d", root / "e")
        file.write(b" four")
        assert os.fstat(file.fileno()).st_size == 18
    mount.umount()
    assert content_of(bucket) == {"e/": b"", "e/b": b"one two three four"}


def test_directory_chain_of_renames(settled, bucket):
    mount, settle = settled
    root = mount.path
    (root / "a/sub").mkdir(parents=True)
    (root / "a/uploaded").write_bytes(b"1")
    (root / "a/sub/uploaded").write_bytes(b"2")
    settle()
    (root / "a/late").write_bytes(b"3")
    (root / "a/uploaded").write_bytes(b"1!")
    for old, new in (("a", "b"), ("b/sub", "sub"), ("b", "sub/b"), ("sub", "a")):
        os.rename(root / old, root / new)
    (root / "b").mkdir()
    (root / "b/again").write_bytes(b"4")
    os.unlink(root / "a/uploaded")
    wanted = {"a/": b"", "a/b/": b"", "a/b/late": b"3", "a/b/uploaded": b"1!", "b/": b"",
              "b/again": b"4"}  # fmt: skip
    assert os.listdir(root / "a") == ["b"]
    assert sorted(os.listdir(root / "a/b")) == ["late", "uploaded"]
    mount.umount()
    assert content_of(bucket) == wanted
    mount.start()
    assert (root / "a/b/uploaded").read_bytes() == b"1!"


# -- open files --


def test_unlinked_file_can_be_used(settled, bucket):
    mount, settle = settled
    path = mount.path / "file"
    path.write_bytes(b"text")
    settle()
    with open(path, "r+b", 0) as file, open(path, "rb", 0) as reader:
        os.unlink(path)
        with fails_with(errno.ENOENT):
            path.stat()
        assert os.fstat(file.fileno()).st_nlink == 0
        assert os.pread(reader.fileno(), 10, 0) == b"text"
        os.pwrite(file.fileno(), b"more", 4)
        os.ftruncate(file.fileno(), 6)
        os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())
        assert os.pread(reader.fileno(), 10, 0) == b"textmo"
        path.write_bytes(b"second life")
        assert os.pread(reader.fileno(), 10, 0) == b"textmo"
    assert path.read_bytes() == b"second life"
    mount.umount()
    assert content_of(bucket) == {"file": b"second life"}
    assert bucket.uploads() == []


def test_truncate_by_path_and_descriptor(settled, bucket):
    mount, settle = settled
    path = mount.path / "file"
    path.write_bytes(b"0123456789")
    settle()
    with open(path, "r+b", 0) as file:
        os.truncate(path, 5)
        assert os.pread(file.fileno(), 20, 0) == b"01234"
        os.ftruncate(file.fileno(), 8)
        assert path.read_bytes() == b"01234\0\0\0"
        os.pwrite(file.fileno(), b"x", 7)
        os.truncate(path, 3)
        os.truncate(path, 6)
    mount.umount()
    assert bucket.get("file") == b"012\0\0\0"


def test_sparse_files(mount, bucket):
    path, size = mount.path / "sparse", 1 << 20
    with open(path, "w+b", 0) as file:
        fd = file.fileno()
        os.pwrite(fd, b"data", size)
        os.ftruncate(fd, 2 * size)
        hole = os.lseek(fd, 0, os.SEEK_HOLE)
        data = os.lseek(fd, 0, os.SEEK_DATA)
        assert hole == 0
        assert 0 < data <= size
        assert size + 4 <= os.lseek(fd, data, os.SEEK_HOLE) < 2 * size
        with fails_with(errno.ENXIO):
            os.lseek(fd, 2 * size, os.SEEK_DATA)
        with fails_with(errno.ENXIO):
            os.lseek(fd, 2 * size, os.SEEK_HOLE)
    mount.remount()
    assert bucket.get("sparse") == bytes(size) + b"data" + bytes(size - 4)
    with open(path, "rb", 0) as file:
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) <= 2 * size
        assert os.lseek(file.fileno(), size, os.SEEK_DATA) == size


def test_two_descriptors_append(settled, bucket):
    mount, settle = settled
    path = mount.path / "log"
    path.write_bytes(b"begin\n")
    settle()
    flags = os.O_WRONLY | os.O_APPEND
    one, two = os.open(path, flags), os.open(path, flags)
    for number in range(20):
        os.write(one, b"one %d\n" % number)
        os.write(two, b"two %d\n" % number)
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_WRONLY)  # not appending any more
    os.pwrite(one, b"BEGIN", 0)
    os.close(one)
    os.close(two)
    lines = [b"BEGIN"] + [b"%s %d" % (w, n) for n in range(20) for w in (b"one", b"two")]
    assert path.read_bytes().splitlines() == lines
    mount.umount()
    assert bucket.get("log").splitlines() == lines


def test_mapping_of_an_appender_is_written_in_place(settled, bucket):
    mount, settle = settled
    path = mount.path / "log"
    path.write_bytes(bytes(10_000))
    settle()
    with open(path, "a+b", 0) as file:
        with mmap.mmap(file.fileno(), 10_000) as memory:
            memory[5000:5005] = b"mmap!"
            memory.flush()
            file.write(b"end")
            memory[1:3] = b"<>"
        assert os.fstat(file.fileno()).st_size == 10_003
    mount.umount()
    assert bucket.get("log") == b"\0<>" + bytes(4997) + b"mmap!" + bytes(4995) + b"end"


def test_exclusive_create_has_one_winner(mount):
    winners, ready = [], threading.Barrier(8)

    def create(number):
        ready.wait()
        with contextlib.suppress(FileExistsError):
            os.close(os.open(mount.path / "lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            winners.append(number)

    for _ in range(20):
        threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(winners) == 1
        winners.clear()
        os.unlink(mount.path / "lock")


# -- attributes --


def times(path):
    st = os.lstat(path)
    return st.st_atime_ns, st.st_mtime_ns


@pytest.mark.parametrize("kind", ["file", "dir"])
def test_times(settled, kind):
    mount, settle = settled
    path = mount.path / kind
    path.mkdir() if kind == "dir" else path.write_bytes(b"text")
    settle()
    utimensat(path, (1000, 1), (2000, 999_999_999))
    assert times(path) == (1_000_000_000_001, 2_000_999_999_999)
    utimensat(path, (0, UTIME_OMIT), (3000, 3))
    assert times(path) == (1_000_000_000_001, 3_000_000_000_003)
    utimensat(path, (4000, 4), (0, UTIME_OMIT))
    assert times(path) == (4_000_000_000_004, 3_000_000_000_003)
    utimensat(path, (0, UTIME_OMIT), (0, UTIME_OMIT))
    assert times(path) == (4_000_000_000_004, 3_000_000_000_003)
    changed = os.stat(path).st_ctime_ns
    utimensat(path, (4000, 4), (0, UTIME_NOW))
    assert os.stat(path).st_mtime_ns > 10**18
    assert os.stat(path).st_ctime_ns >= changed
    utimensat(path, (5000, 5), (6000, 6))
    mount.remount()
    assert times(path) == (5_000_000_000_005, 6_000_000_000_006)


@pytest.mark.parametrize("kind", ["file", "dir"])
def test_modes_and_owners(settled, kind):
    mount, settle = settled
    path = mount.path / kind
    path.mkdir() if kind == "dir" else path.write_bytes(b"text")
    settle()
    modes = (0o000, 0o777, 0o4711, 0o2755, 0o1777, 0o640)
    for mode in modes:
        os.chmod(path, mode)
        assert stat.S_IMODE(os.stat(path).st_mode) == mode
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
        os.chown(path, -1, 56)
        assert (os.stat(path).st_uid, os.stat(path).st_gid) == (12, 56)
        os.chmod(path, 0o3750)
    before = os.stat(path)
    mount.remount()
    after = os.stat(path)
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_writing_drops_setuid(mount):
    if os.geteuid() == 0:
        pytest.skip("root keeps it")
    path = mount.path / "file"
    path.write_bytes(b"text")
    os.chmod(path, 0o4755)
    with open(path, "ab") as file:
        file.write(b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_umask_and_create_modes(mount):
    before = os.umask(0o027)
    try:
        os.close(os.open(mount.path / "file", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(mount.path / "dir", 0o777)
    finally:
        os.umask(before)
    for _ in range(2):
        assert stat.S_IMODE((mount.path / "file").stat().st_mode) == 0o640
        assert stat.S_IMODE((mount.path / "dir").stat().st_mode) == 0o750
        mount.remount()


def test_directory_mtime_follows_its_names(mount):
    root = mount.path / "dir"
    root.mkdir()
    (root / "file").write_bytes(b"x")
    mount.sync()
    for change in (
        lambda: (root / "new").touch(),
        lambda: os.rename(root / "new", root / "newer"),
        lambda: os.unlink(root / "newer"),
        lambda: os.mkdir(root / "sub"),
        lambda: os.rmdir(root / "sub"),
        lambda: os.symlink("x", root / "link"),
    ):
        os.utime(root, ns=(1, 1_000_000_000))
        assert root.stat().st_mtime_ns == 1_000_000_000
        change()
        assert root.stat().st_mtime_ns > 10**18
    os.utime(root, ns=(1, 1_000_000_000))
    (root / "file").write_bytes(b"content is no name")
    os.chmod(root / "file", 0o600)
    assert root.stat().st_mtime_ns == 1_000_000_000
    mount.remount()
    assert root.stat().st_mtime_ns == 1_000_000_000


def test_inode_numbers_tell_files_apart(mount):
    for number in range(50):
        (mount.path / f"{number}").touch()
    numbers = {entry.name: entry.inode() for entry in os.scandir(mount.path)}
    assert len(set(numbers.values())) == 50
    for name, number in numbers.items():
        assert (mount.path / name).stat().st_ino == number
    before = (mount.path / "1").stat().st_ino
    mount.sync()
    assert (mount.path / "1").stat().st_ino == before
    os.rename(mount.path / "1", mount.path / "renamed")
    assert (mount.path / "renamed").stat().st_ino == before


def test_symlinks_to_everything(settled):
    mount, settle = settled
    root = mount.path
    (root / "dir").mkdir()
    (root / "dir/file").write_bytes(b"text")
    for name, target in {"d": "dir", "f": "dir/file", "abs": f"{root}/dir", "no": "none"}.items():
        os.symlink(target, root / name)
    os.utime(root / "f", ns=(5, 7), follow_symlinks=False)
    settle()
    assert (root / "d/file").read_bytes() == b"text"
    assert os.listdir(root / "abs") == ["file"]
    with fails_with(errno.ENOENT):
        (root / "no").read_bytes()
    (root / "no").write_bytes(b"made through the link")
    assert (root / "none").read_bytes() == b"made through the link"
    (root / "f").write_bytes(b"changed")
    assert times(root / "f")[1] == 7
    mount.remount()
    assert (root / "dir/file").read_bytes() == b"changed"
    assert times(root / "f")[1] == 7
    os.unlink(root / "d")
    assert os.listdir(root / "dir") == ["file"]


def test_xattr_sizes_and_names(settled):
    mount, settle = settled
    path = mount.path / "file"
    path.write_bytes(b"text")
    settle()
    values = {"user.empty": b"", "user.ü": b"\0\xff\n", "user.Case": b"1", "user.case": b"2",
              "user.space in": b" x "}  # fmt: skip
    for name, value in values.items():
        os.setxattr(path, name, value)
    with fails_with(errno.ENOSPC, errno.E2BIG, errno.ERANGE):
        os.setxattr(path, "user.big", bytes(60_000))
    with fails_with(errno.EINVAL):
        os.setxattr(path, "user.", b"no name")
    mount.remount()
    for name, value in values.items():
        assert os.getxattr(path, name) == value
    assert set(values) <= set(os.listxattr(path))
    assert path.read_bytes() == b"text"


# -- directories --

CONTROL = [f"c{chr(n)}c" for n in range(1, 32)]
NAMES = CONTROL + [
    " ",
    " lead", "trail ", "two  spaces", "plus+", "a%20b", "%", "%zz", "%2F", "&amp;", "<x>", "]]>",
    "'", '"', "`", "\\x", "a\\b", "?", "#", "*", "[a]", "~", ":", ";", "=", "@", "!", "$HOME", "|",
    "...", ".hidden", "-", "é", "e\u0301", "目录", "😀", "\u200b", "\ufeff", "\u2028", "\x7f",
    "\x80", "\uffff", "A", "a",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["file", "dir"])
def test_names(mount, bucket, kind):
    names = [name for name in NAMES if not name.startswith("\\")]
    top = mount.path / "top"
    top.mkdir()
    for name in names:
        if kind == "dir":
            (top / name).mkdir()
            (top / name / "in").write_bytes(name.encode())
        else:
            (top / name).write_bytes(name.encode())
    mount.sync()
    below = ["top/"]
    for name in names:
        below += [f"top/{name}/", f"top/{name}/in"] if kind == "dir" else [f"top/{name}"]
    assert bucket.keys() == sorted(below)
    mount.remount()
    assert sorted(os.listdir(top)) == sorted(names)
    for name in names:
        path = top / name / "in" if kind == "dir" else top / name
        assert path.read_bytes() == name.encode()
    os.rename(top, mount.path / "moved")
    mount.sync()
    assert bucket.keys() == sorted("moved" + key[3:] for key in below)
    mount.remount()
    for name in names:
        if kind == "dir":
            os.unlink(mount.path / "moved" / name / "in")
            os.rmdir(mount.path / "moved" / name)
        else:
            os.unlink(mount.path / "moved" / name)
    assert os.listdir(mount.path / "moved") == []
    mount.sync()
    assert bucket.keys() == ["moved/"]


def test_directory_positions(mount, bucket):
    names = sorted(f"{n:03}" for n in range(300))
    for name in names:
        bucket.put(f"dir/{name}", b"")
    libc = LIBC
    libc.opendir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long

    class Dirent(ctypes.Structure):
        _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("len", ctypes.c_ushort),
                    ("type", ctypes.c_ubyte), ("name", ctypes.c_char * 256)]  # fmt: skip

    libc.readdir.restype = ctypes.POINTER(Dirent)
    stream = ctypes.c_void_p(libc.opendir(os.fsencode(mount.path / "dir")))
    try:
        places, seen = [], []
        while True:
            place = libc.telldir(stream)
            entry = libc.readdir(stream)
            if not entry:
                break
            places.append(place)
            seen.append(entry.contents.name)
        assert sorted(seen) == [b".", b".."] + [name.encode() for name in names]
        for index in random.Random(1).sample(range(len(seen)), 50):
            libc.seekdir(stream, ctypes.c_long(places[index]))
            assert libc.readdir(stream).contents.name == seen[index]
        libc.rewinddir(stream)
        again = []
        while entry := libc.readdir(stream):
            again.append(entry.contents.name)
        assert again == seen
    finally:
        libc.closedir(stream)


def test_listing_while_names_come_and_go(make_mount):
    """What is there all the time is listed exactly once."""
    mount = make_mount(attr_timeout="10s", settle="1h", drain="no").start()
    top = mount.path / "many"
    top.mkdir()
    fixed = {f"fixed-{n:04}" for n in range(5000)}
    for name in fixed:
        os.close(os.open(top / name, os.O_CREAT | os.O_WRONLY))
    stop = threading.Event()

    def come_and_go():
        source = random.Random(3)
        while not stop.is_set():
            path = top / f"{source.choice('afz')}-{source.randrange(200)}"
            with contextlib.suppress(FileNotFoundError):
                path.touch()
                path.unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(5):
            listed = os.listdir(top)
            assert len(listed) == len(set(listed))
            assert fixed <= set(listed)
    finally:
        stop.set()
        thread.join()
    assert set(os.listdir(top)) == fixed
    for name in fixed:
        os.unlink(top / name)
    assert os.listdir(top) == []
    os.rmdir(top)


def test_removing_while_listing(make_mount, bucket):
    mount = make_mount(attr_timeout="10s").start()
    for number in range(1500):
        bucket.put(f"dir/{number:04}", b"")
    with os.scandir(mount.path / "dir") as entries:
        for entry in entries:
            os.unlink(entry.path)
    os.rmdir(mount.path / "dir")
    mount.sync()
    assert bucket.keys() == []


def test_current_directory_that_is_gone(mount):
    (mount.path / "dir").mkdir()
    fd = os.open(mount.path / "dir", os.O_RDONLY | os.O_DIRECTORY)
    os.rmdir(mount.path / "dir")
    with fails_with(errno.ENOENT):
        os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)
    (mount.path / "dir").mkdir()
    assert os.listdir(mount.path / "dir") == []


def test_statfs(mount):
    st = os.statvfs(mount.path)
    assert st.f_namemax == 255
    assert st.f_frsize > 0
    assert st.f_blocks >= st.f_bavail > 0
