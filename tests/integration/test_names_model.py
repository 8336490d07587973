"""Names are never wrong: random steps on a mount and on a local directory, which is the model.

Each step is done to both and must end alike, with the same errno; then both trees are compared.
The names are few, so that most steps meet what is there, was there a moment ago, or is on its way
into the bucket or out of it. A failure tells its seed and its steps: OSSUP_SEED=N runs that alone.
"""

import errno
import os
import random
import shutil
import stat

import pytest

from ossup_testlib.campaign import chosen, long_campaign

NAMES = ("a", "b", "c")
DEPTH = 3
NORMAL, LONG = 100, 5_000  # steps


def outcome(call, *args):
    """None, or the errno it ended with."""
    try:
        call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, error.errno)
    return None


def tree(root):
    """{path: "/" or "-> target" or content}"""
    found = {}
    todo = [""]
    while todo:
        folder = todo.pop()
        for name in os.listdir(root / folder):
            path = f"{folder}/{name}" if folder else name
            info = os.lstat(root / path)
            if stat.S_ISDIR(info.st_mode):
                found[path] = "/"
                todo.append(path)
            elif stat.S_ISLNK(info.st_mode):
                found[path] = "-> " + os.readlink(root / path)
            else:
                found[path] = (root / path).read_bytes()
    return found


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def make(path, data):
    with open(path, "xb") as file:
        file.write(data)


def append(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def clear(path):
    if not os.path.isdir(path) or os.path.islink(path):
        raise NotADirectoryError(errno.ENOTDIR, "rm -r")
    shutil.rmtree(path)


def fill(path, data):
    """What tar does: a directory with things in it."""
    os.mkdir(path)
    write(path / "a", data)
    os.mkdir(path / "b")
    write(path / "b/c", data)


class History:
    def __init__(self, mount, server, local, seed):
        self.mount, self.server, self.local = mount, server, local
        self.bucket = server.bucket()
        self.random = random.Random(seed)
        self.told = []
        self.serial = 0

    # -- what is done --

    def path(self):
        """One that exists, or whose directory does, more often than chance would have it."""
        path = self.random.choice(NAMES)
        while path.count("/") + 1 < DEPTH and self.random.random() < 0.6:
            if not (self.local / path).is_dir() and self.random.random() < 0.9:
                break
            path += "/" + self.random.choice(NAMES)
        return path

    def data(self):
        self.serial += 1
        return b"%d" % self.serial

    def both(self, call, *paths, rest=()):
        """Done to the model and to the mount."""
        words = f"{call.__name__} {' '.join(paths)}"
        wanted = outcome(call, *(self.local / p for p in paths), *rest)
        got = outcome(call, *(self.mount.path / p for p in paths), *rest)
        self.told.append(f"{words}: {wanted or 'done'}")
        assert got == wanted, f"{words}: {got} and not {wanted}"

    def step(self):
        chance = self.random.random()
        if chance < 0.17:
            self.both(os.mkdir, self.path())
        elif chance < 0.32:
            self.both(self.random.choice((write, make)), self.path(), rest=(self.data(),))
        elif chance < 0.36:
            self.both(append, self.path(), rest=(self.data(),))
        elif chance < 0.40:
            self.both(fill, self.path(), rest=(self.data(),))
        elif chance < 0.66:
            self.both(os.rename, self.path(), self.path())
        elif chance < 0.76:
            self.both(os.rmdir, self.path())
        elif chance < 0.84:
            self.both(os.unlink, self.path())
        elif chance < 0.89:
            self.both(clear, self.path())
        elif chance < 0.92:
            path, target = self.path(), self.random.choice(NAMES)
            self.both(link, path, rest=(target,))
        elif chance < 0.98:
            self.both(os.listdir, self.path())
        else:
            self.perturb()
        if self.random.random() < 0.2:
            self.compare()

    def perturb(self):
        what = self.random.choice(("sync", "sync", "remount", "slow", "compare"))
        self.told.append(what)
        if what == "sync":
            self.mount.sync()
            self.compare_bucket()
        elif what == "remount":
            self.mount.umount()
            self.compare_bucket()
            self.mount.start()
        elif what == "slow":
            self.server.option(latency_ms=self.random.choice((0, 0, 3)))
        self.compare()

    # -- what there is --

    def compare(self):
        wanted, got = tree(self.local), tree(self.mount.path)
        assert got == wanted, difference(wanted, got)

    def compare_bucket(self):
        """Keys of what there is, and no other ones; directories may be implied."""
        wanted = tree(self.local)
        got = {}
        for key in self.bucket.keys():
            got[key.rstrip("/")] = "/" if key.endswith("/") else self.bucket.get(key)
        for path, what in wanted.items():
            if what == "/" and any(key.startswith(path + "/") for key in got):
                got.setdefault(path, "/")
            elif isinstance(what, str) and what.startswith("-> "):
                wanted[path] = what[3:].encode()
        assert got == wanted, "the bucket: " + difference(wanted, got)


def link(path, target):
    os.symlink(target, path)


def difference(wanted, got):
    missing = {p: w for p, w in wanted.items() if p not in got}
    extra = {p: w for p, w in got.items() if p not in wanted}
    other = {p: (wanted[p], got[p]) for p in wanted if p in got and wanted[p] != got[p]}
    return f"missing: {missing}, should not be there: {extra}, wanted and got: {other}"


def seed_bucket(bucket, local):
    """What others have left there: implied directories, a marker, files."""
    for key in ("a/b/c", "a/c", "b/", "c/a/a", "c/a/b"):
        path = local / key
        if key.endswith("/"):
            path.mkdir(parents=True)
            bucket.put(key, b"")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(key.encode())
            bucket.put(key, key.encode())


def run(make_mount, server, folder, steps, seed, **options):
    local = folder / "local"
    local.mkdir()
    seed_bucket(server.bucket(), local)
    mount = make_mount(**options).start()
    history = History(mount, server, local, seed)
    number = 0
    try:
        for number in range(steps):
            history.step()
        history.told.append("the end")
        history.compare()
        mount.umount()
        history.compare_bucket()
    except (AssertionError, OSError) as error:
        told = "\n  ".join(history.told[-60:])
        raise AssertionError(f"seed {seed}, step {number}: {error!s}\n  {told}") from error


WAYS = [
    {"attr_timeout": timeout, "settle": settle}
    for timeout in ("0", "100ms", "1h")
    for settle in ("0", "50ms", "1h")
]


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_names(make_mount, server, folder, way):
    for seed in chosen([way]):
        run(make_mount, server, folder, NORMAL, seed, **WAYS[way])


@long_campaign
@pytest.mark.limit(36000)
@pytest.mark.parametrize("way", range(len(WAYS)))
def test_long_names(make_mount, server, folder, way):
    for seed in chosen([1000 + way]):
        run(make_mount, server, folder, LONG, seed, **WAYS[way])
