"""rm -r needs no more than listings, and nobody else is told what it is told (src/fs/remover.h)."""

import ast
import errno
import os
import stat
import subprocess
import sys

import pytest

LINK = {"x-oss-meta-mode": str(stat.S_IFLNK | 0o777)}
FILE = {"x-oss-meta-mode": str(stat.S_IFREG | 0o604)}  # as no default is
LOOKUPS = ("HeadObject", "ListObjects", "ListObjectsV2", "GetObjectMeta")
FEW = 5

# Obeys like rm from its standard input; called rm -r, it is one as far as others can see.
PROGRAM = """
import ctypes, os, random, sys
ctypes.CDLL(None).prctl(15, sys.argv[-1].encode(), 0, 0, 0)
held = os.open(sys.argv[-2], os.O_RDONLY | os.O_DIRECTORY)
for line in sys.stdin:
    try:
        answer = eval(line)
    except OSError as error:
        answer = error.errno
    print(repr(answer), flush=True)
"""


class Rm:
    """A program whose name and command line are those given, and which has a directory open."""

    def __init__(self, folder, directory, words=("rm", "-r"), name="rm"):
        script = folder / "program"
        script.write_text(PROGRAM)
        # What an interpreter takes for its own goes before the script, and that is a path to rm.
        words = [words[0], script, *words[1:], directory, name]
        self.process = subprocess.Popen([str(word) for word in words], executable=sys.executable,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self("0") == 0

    def __call__(self, expression):
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return ast.literal_eval(self.process.stdout.readline())

    def mode(self, name):
        return self(f"os.lstat({name!r}, dir_fd=held).st_mode")

    def end(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


@pytest.fixture
def rm(folder, request):
    started = []

    def start(directory, **how):
        started.append(Rm(folder, directory, **how))
        return started[-1]

    yield start
    for program in started:
        program.end()


@pytest.fixture
def mount(make_mount, bucket):
    """Small objects that the mount knows nothing of."""
    for name in ("a", "b", "c"):
        bucket.put(f"dir/{name}", b"body", FILE)
    bucket.put("dir/link", b"a", LINK)
    bucket.put("dir/sub/x", b"body", FILE)
    return make_mount(settle="1h").start()


def heads(server, prefix="dir/"):
    return [entry["key"] for entry in server.requests("HeadObject")
            if entry["key"].startswith(prefix)]


def remove(mount, server, *words):
    """Lookups and deletes that it costs."""
    server.clear_log()
    subprocess.run([*words, str(mount.path / "dir")], check=True, stdin=subprocess.DEVNULL)
    mount.sync()
    counts = server.counts()
    lookups = sum(counts.pop(name, 0) for name in LOOKUPS)
    assert counts.pop("PutObject", 0) <= 1  # the directory's marker, when its last name goes
    assert set(counts) <= {"DeleteMultipleObjects", "DeleteObject"}
    return lookups, sum(counts.values())


# -- the budget (design 7): lists + n/1000 + a few --


@pytest.mark.limit(300)
@pytest.mark.parametrize("option", ["-r", "-rf"])
def test_a_directory_of_small_objects(make_mount, server, bucket, build, option):
    count = build.smaller(1500, 600)
    for number in range(count):
        bucket.put(f"dir/{number:05}", b"x", FILE)
    mount = make_mount(settle="1h", attr_timeout="10m").start()
    lookups, deletes = remove(mount, server, "rm", option)
    assert lookups <= count // 1000 + 1 + FEW
    assert deletes <= count // 1000 + 1 + FEW
    assert not bucket.keys()


@pytest.mark.limit(300)
@pytest.mark.parametrize("marked", [False, True], ids=["implied", "markers"])
@pytest.mark.parametrize("option", ["-r", "-rf"])
def test_a_tree_of_small_directories(make_mount, server, bucket, option, marked):
    directories = 30
    for number in range(directories):
        if marked:
            bucket.put(f"dir/{number:03}/", b"", {"x-oss-meta-mode": "16832"})
        for file in range(10):
            bucket.put(f"dir/{number:03}/{file:02}", b"x", FILE)
    mount = make_mount(settle="1h", attr_timeout="10m").start()
    lookups, deletes = remove(mount, server, "rm", option)
    assert lookups <= directories + 1 + FEW
    assert deletes <= 1 + FEW
    assert not bucket.keys()


@pytest.mark.parametrize("page", [1000, 10], ids=["listed", "too-many-pages"])
def test_names_may_come_in_any_order_and_late(make_mount, rm, server, bucket, page):
    """
    As from 10,000 names on: rm goes by inode number, and no listing is trusted any more. Of a
    directory with more than 64 pages most are not even kept.
    """
    count = 1500
    for number in range(count):
        bucket.put(f"dir/{number:05}", b"x", FILE)
    bucket.put("dir/00000a/x", b"x", FILE)
    mount = make_mount(settle="1h", attr_timeout="0").start()
    program = rm(mount.path / "dir")
    server.option(list_short_pages=page)
    assert program("len(names := os.listdir(held))") == count + 1
    assert stat.S_ISDIR(program.mode("00000a"))
    program("names.remove('00000a') or random.Random(1).shuffle(names)")
    server.clear_log()
    removed = program("sum(1 for name in names"
                      "    if os.lstat(name, dir_fd=held) and not os.unlink(name, dir_fd=held))")
    assert removed == count
    mount.sync()
    assert sum(server.counts().get(name, 0) for name in LOOKUPS) <= FEW
    assert bucket.keys() == ["dir/", "dir/00000a/x"]


def test_a_name_that_it_has_not_read_is_looked_up(mount, rm):
    program = rm(mount.path / "dir")
    assert program.mode("never") == errno.ENOENT
    assert stat.S_ISDIR(program.mode("sub"))
    assert stat.S_ISREG(program.mode("a"))


# -- what is removed --


def test_small_symlinks_go_and_their_targets_stay(mount, server, bucket):
    bucket.put("kept/file", b"body", FILE)
    bucket.put("dir/out", b"../kept", LINK)
    bucket.put("dir/sub/out", b"../../kept/file", LINK)
    remove(mount, server, "rm", "-r")
    assert heads(server) in ([], ["dir/"])
    assert bucket.keys() == ["kept/file"]
    assert os.listdir(mount.path) == ["kept"]


def test_what_comes_meanwhile_is_not_taken_along(mount, rm, bucket):
    """Names that no listing has shown are looked up, and a directory is no file."""
    program = rm(mount.path / "dir")
    assert program("sorted(os.listdir(held))") == ["a", "b", "c", "link", "sub"]
    bucket.put("dir/new", b"body", FILE)
    assert program.mode("new") == stat.S_IFREG | 0o640
    assert program.mode("never") == errno.ENOENT
    assert stat.S_ISDIR(program.mode("sub"))
    assert program("os.unlink('sub', dir_fd=held)") == errno.EISDIR
    assert program("os.unlink('a', dir_fd=held)") is None
    mount.sync()
    assert bucket.keys() == ["dir/", "dir/b", "dir/c", "dir/link", "dir/new", "dir/sub/x"]


# -- who is told what --


def test_others_get_the_truth_in_its_midst(mount, rm, server, bucket):
    program = rm(mount.path / "dir")
    for name in ("a", "b"):
        program.mode(name)
        assert program(f"os.unlink({name!r}, dir_fd=held)") is None
    for name in ("c", "link"):
        assert program.mode(name) == stat.S_IFREG | 0o640
    assert heads(server) in ([], ["dir/"])

    assert os.readlink(mount.path / "dir/link") == "a"
    assert os.lstat(mount.path / "dir/link").st_mode == stat.S_IFLNK | 0o777
    with pytest.raises(FileNotFoundError):
        os.stat(mount.path / "dir/link")
    assert os.lstat(mount.path / "dir/c").st_mode == stat.S_IFREG | 0o604
    assert (mount.path / "dir/c").read_bytes() == b"body"
    assert {"dir/link", "dir/c"} <= set(heads(server))

    for name in ("c", "link"):
        assert program(f"os.unlink({name!r}, dir_fd=held)") is None
    mount.sync()
    assert bucket.keys() == ["dir/", "dir/sub/x"]


@pytest.mark.parametrize("first", ["readlink", "open", "chmod"])
def test_what_another_asks_for_first_is_the_truth(mount, rm, bucket, first):
    """Each of these is the first thing that anybody does with a name that rm was told of."""
    program = rm(mount.path / "dir")
    for name in ("link", "c"):
        assert program.mode(name) == stat.S_IFREG | 0o640
    link = mount.path / "dir/link"
    if first == "readlink":
        assert os.readlink(link) == "a"
    elif first == "open":
        assert link.read_bytes() == b"body"
        with pytest.raises(OSError) as error:
            os.open(link, os.O_RDONLY | os.O_NOFOLLOW)
        assert error.value.errno == errno.ELOOP
    else:
        os.chmod(mount.path / "dir/c", 0o614)
        assert os.lstat(mount.path / "dir/c").st_mode == stat.S_IFREG | 0o614
        os.chmod(link, 0o600)
        assert os.lstat(mount.path / "dir/a").st_mode == stat.S_IFREG | 0o600
    assert stat.S_ISLNK(os.lstat(link).st_mode)


def test_it_gets_the_truth_itself_where_it_opens(mount, rm):
    program = rm(mount.path / "dir")
    for name in ("link", "c"):
        assert program.mode(name) == stat.S_IFREG | 0o640
        assert program(f"os.read(os.open({name!r}, os.O_RDONLY, dir_fd=held), 9)") == b"body"
    assert stat.S_ISLNK(program.mode("link"))


def test_it_gets_the_truth_where_it_has_not_opened_the_directory(mount, rm):
    program = rm(mount.path / "dir/sub")
    assert stat.S_ISLNK(program("os.lstat('../link', dir_fd=held).st_mode"))
    program("os.close(held)")
    assert program(f"os.lstat({str(mount.path / 'dir/sub/x')!r}).st_mode") == stat.S_IFREG | 0o604


@pytest.mark.parametrize("words, name", [
    (("rm", "-ri"), "rm"),
    (("rm", "-r", "-I"), "rm"),
    (("rm", "-rf", "--interactive=never"), "rm"),
    (("rm", "-f"), "rm"),
    (("/usr/bin/python3", "-r"), "rm"),
    (("rm", "-r"), "rmtree"),
], ids=["asks", "asks-once", "unknown-option", "no-tree", "a-script", "another-name"])
def test_the_truth_is_for_everybody_else(mount, rm, words, name):
    program = rm(mount.path / "dir", words=words, name=name)
    for file in ("a", "b"):
        assert program.mode(file) == stat.S_IFREG | 0o604
        assert program(f"os.unlink({file!r}, dir_fd=held)") is None
    assert program.mode("c") == stat.S_IFREG | 0o604
    assert stat.S_ISLNK(program.mode("link"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs programs as others")
def test_other_users_get_the_truth(make_mount, server, bucket):
    """Their permissions depend on it."""
    names = [f"dir/{number}" for number in range(10)]
    for name in names:
        bucket.put(name, b"body", FILE)
    mount = make_mount(settle="1h", allow_other=True, umask="000").start()
    subprocess.run(["rm", "-rf", "dir"], cwd=mount.path, user=65534, group=65534, extra_groups=[])
    mount.sync()
    assert set(names) <= set(heads(server))


def test_programs_that_choose_what_they_remove_see_what_it_is(mount, bucket):
    for number in range(10):
        bucket.put(f"dir/m{number}", b"a", LINK if number % 2 else FILE)
    subprocess.run(["find", str(mount.path / "dir"), "-type", "f", "-delete"], check=True)
    mount.sync()
    links = [f"dir/m{number}" for number in range(1, 10, 2)]
    assert bucket.keys() == ["dir/", "dir/link", *links, "dir/sub/"]
