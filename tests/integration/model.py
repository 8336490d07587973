"""What a mount has to be after a crash: a tree in memory with two contents of each file.

`live` is what programs see, `stable` what was closed or fsynced last (None: never). A crash makes
stable live. Names, directories, symlinks, modes and times are stable at once; but what was never
closed does not take the place of what was: a crash brings that back (`replaced`). Every operation
is done to the model and to the mount; `step()` makes random ones from a seed.
"""

import contextlib
import fcntl
import hashlib
import os
import random
import stat

DIRECTORY, FILE, LINK = "directory", "file", "link"
NAMES = ("a", "b", "c", "d.tmp", "e")
PART = 100 << 10
DEPTH = 2
MOST_OPEN = 4


def digest(data):
    return hashlib.sha256(data).digest()


class Node:
    def __init__(self, kind, mode, data=b"", stable=None):
        self.kind, self.mode = kind, mode
        self.live, self.stable = bytearray(data), stable
        self.mtime = None  # in ns, if it was set and nothing was written since
        self.fd = None
        self.quiet = set()  # digests of what may have become stable since
        self.replaced = None  # what had the name before, while there is no stable content

    def survivor(self):
        """What a crash leaves of the name: a node without a descriptor, or None."""
        if self.stable is None:
            return self.replaced
        node = Node(self.kind, self.mode, self.stable, self.stable)
        node.mtime = self.mtime
        return node

    def settle(self):
        self.stable, self.replaced = bytes(self.live), None
        self.quiet.clear()


class Model:
    def __init__(self, root):
        self.root = root  # of the mount
        self.nodes = {}  # by path below the root
        self.detached = []  # unlinked and open
        self.lost = 0  # files whose last writes a crash took: they are kept in the spool
        self.flushes = False  # what lies quiet while it is open becomes stable, too
        self.versions = {digest(b"")}  # of all that was ever stable: what an object may have

    # -- asking --

    def parents(self):
        """Where an entry may be made."""
        dirs = [p for p, n in self.nodes.items() if n.kind == DIRECTORY and p.count("/") < DEPTH]
        return ["", *sorted(dirs)]

    def of_kind(self, *kinds):
        return sorted(p for p, n in self.nodes.items() if n.kind in kinds)

    def children(self, path):
        prefix = path + "/" if path else ""
        return sorted(p for p in self.nodes if p.startswith(prefix))

    def open_nodes(self):
        return [n for n in [*self.nodes.values(), *self.detached] if n.fd is not None]

    def expected(self, stable=False):
        """{path: (kind, mode, content)}; of times: wrong_times()."""
        found = {}
        for path, node in self.nodes.items():
            node = node.survivor() if stable else node
            if node is not None:
                found[path] = (node.kind, node.mode, bytes(node.live))
        return found

    def expected_objects(self):
        """{key: (mode with type, body)} after a sync."""
        kinds = {FILE: stat.S_IFREG, LINK: stat.S_IFLNK, DIRECTORY: stat.S_IFDIR}
        return {
            path + "/" * (kind == DIRECTORY): (kinds[kind] | mode, content)
            for path, (kind, mode, content) in self.expected(stable=True).items()
        }

    def is_version(self, body):
        return digest(body) in self.versions

    # -- what happens --

    def step_done(self):
        """What is open now may lie quiet until the next step."""
        for node in self.open_nodes() if self.flushes else []:
            node.quiet.add(digest(node.live))
            self.versions.add(digest(node.live))

    def look(self):
        """After a crash: which files had become stable because they lay quiet?"""
        for path, (mode, quiet) in self.was_open.items():
            file = self.root / path
            content = file.read_bytes() if file.is_file() and not file.is_symlink() else None
            if content is not None and digest(content) in quiet:
                self.nodes[path] = Node(FILE, mode, content, content)

    def crash(self):
        self.was_open = {p: (n.mode, n.quiet) for p, n in self.nodes.items() if n.quiet}
        for node in self.open_nodes():
            with contextlib.suppress(OSError):
                os.close(node.fd)
            node.fd = None
        self.detached.clear()
        self.lost += sum(n.stable != n.live for n in self.nodes.values())
        survivors = {path: node.survivor() for path, node in self.nodes.items()}
        self.nodes = {path: node for path, node in survivors.items() if node is not None}

    def forked(self):
        """A child was started: its copies of the descriptors are closed, which is a close(2) to us."""
        for node in self.open_nodes():
            if node not in self.detached:
                self.stabilise(node)

    def close_all(self):
        for node in self.open_nodes():
            self.close(node)

    def stabilise(self, node):
        node.settle()
        self.versions.add(digest(node.stable))

    def close(self, node):
        os.close(node.fd)
        node.fd = None
        if node in self.detached:
            self.detached.remove(node)
        else:
            self.stabilise(node)

    def forget(self, path):
        node = self.nodes.pop(path)
        if node.fd is not None:
            self.detached.append(node)

    # -- operations: the mount first, so that an error leaves the model as it was --

    def create(self, path, data, keep_open):
        fd = os.open(self.root / path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        node = self.nodes[path] = Node(FILE, 0o644)
        node.fd = fd
        self.write(node, data, 0)
        if not keep_open:
            self.close(node)

    def open(self, path, truncate):
        node = self.nodes[path]
        node.fd = os.open(self.root / path, os.O_RDWR | (os.O_TRUNC if truncate else 0))
        if truncate:
            node.live.clear()
            node.mtime = None

    def write(self, node, data, at):
        assert os.pwrite(node.fd, data, at) == len(data)
        if not data:
            return  # it does not even extend the file
        node.live.extend(bytes(max(0, at + len(data) - len(node.live))))
        node.live[at : at + len(data)] = data
        node.mtime = None

    def append(self, node, data):
        """As a log is written; a second descriptor would have to be closed."""
        flags = fcntl.fcntl(node.fd, fcntl.F_GETFL)
        fcntl.fcntl(node.fd, fcntl.F_SETFL, flags | os.O_APPEND)
        assert os.write(node.fd, data) == len(data)
        fcntl.fcntl(node.fd, fcntl.F_SETFL, flags)
        if data:
            node.live.extend(data)
            node.mtime = None

    def append_and_close(self, path, data):
        with open(self.root / path, "ab") as file:
            file.write(data)
        node = self.nodes[path]
        node.live.extend(data)
        node.mtime = None
        self.stabilise(node)

    def truncate_fd(self, node, size):
        os.ftruncate(node.fd, size)
        self._cut(node, size)

    def truncate_path(self, path, size):
        node = self.nodes[path]
        os.truncate(self.root / path, size)
        self._cut(node, size)
        self.stabilise(node)

    @staticmethod
    def _cut(node, size):
        del node.live[size:]
        node.live.extend(bytes(size - len(node.live)))
        node.mtime = None

    def fsync(self, node):
        os.fsync(node.fd)
        if node not in self.detached:
            self.stabilise(node)

    def mkdir(self, path):
        os.mkdir(self.root / path, 0o755)
        self.nodes[path] = Node(DIRECTORY, 0o755, stable=b"")

    def symlink(self, path, target):
        os.symlink(target, self.root / path)
        data = os.fsencode(target)
        self.nodes[path] = Node(LINK, 0o777, data, stable=data)
        self.versions.add(digest(data))

    def unlink(self, path):
        os.unlink(self.root / path)
        self.forget(path)

    def rmdir(self, path):
        os.rmdir(self.root / path)
        self.forget(path)

    def rename(self, path, to):
        os.rename(self.root / path, self.root / to)
        node = self.nodes[path]
        if to in self.nodes:
            before = self.nodes[to].survivor()
            self.forget(to)
            if node.stable is None and node.replaced is None:
                node.replaced = before
        moved = {p: to + p[len(path) :] for p in self.children(path)}
        moved[path] = to
        self.nodes = {moved.get(p, p): n for p, n in self.nodes.items()}

    def set_times(self, path, mtime):
        os.utime(self.root / path, ns=(mtime, mtime))
        self.nodes[path].mtime = mtime

    def chmod(self, path, mode):
        os.chmod(self.root / path, mode)
        self.nodes[path].mode = mode

    # -- comparing --

    def seen(self):
        """What the mount shows, in the form of expected()."""
        found = {}
        for folder, dirs, files in os.walk(self.root):
            for name in dirs + files:
                path = os.path.relpath(os.path.join(folder, name), self.root)
                st = os.lstat(self.root / path)
                if stat.S_ISLNK(st.st_mode):
                    entry = (LINK, os.fsencode(os.readlink(self.root / path)))
                elif stat.S_ISDIR(st.st_mode):
                    entry = (DIRECTORY, b"")
                else:
                    entry = (FILE, (self.root / path).read_bytes())
                    assert len(entry[1]) == st.st_size, f"{path}: size {st.st_size}"
                found[path] = (entry[0], stat.S_IMODE(st.st_mode), entry[1])
        return found


    def wrong_times(self):
        """Of what had its time set."""
        set_ones = {path: n.mtime for path, n in self.nodes.items() if n.mtime is not None}
        seen = {path: os.lstat(self.root / path).st_mtime_ns for path in set_ones}
        return [f"{path}: time {seen[path]}, not {mtime}" for path, mtime in set_ones.items()
                if seen[path] != mtime]


def difference(expected, seen):
    """A line for each path that differs; contents by size and first difference."""
    lines = []
    for path in sorted(expected.keys() | seen.keys()):
        want, have = expected.get(path), seen.get(path)
        if want == have:
            continue
        if want is None or have is None:
            lines.append(f"{path}: {'only expected' if have is None else 'not expected'}")
            continue
        a, b = want[-1], have[-1]
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        lines.append(f"{path}: {want[:-1]}, {len(a)} bytes, is {have[:-1]}, {len(b)} bytes, "
                     f"first difference at {at}")
    return lines


class Source:
    """Random choices of a history."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, items):
        items = list(items)
        return self.random.choice(items) if items else None

    def data(self):
        size = self.one((0, 1, 100, 5000, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 77))
        return self.random.randbytes(size)


def step(model, source):
    """One random operation; its description, or None if there was nothing to do it to."""
    r = source.random
    kind = r.choices(
        ["create", "open", "write", "append", "truncate", "truncate-path", "fsync", "close",
         "rename", "unlink", "mkdir", "rmdir", "chmod", "symlink", "read", "add", "times"],
        [9, 5, 9, 5, 3, 3, 3, 6, 10, 4, 4, 2, 3, 2, 2, 3, 2],
    )[0]
    files, nodes = model.of_kind(FILE), model.open_nodes()
    closed = [p for p in files if model.nodes[p].fd is None]
    parent = source.one(model.parents())
    new = f"{parent}/{source.one(NAMES)}".lstrip("/")

    if kind in ("create", "mkdir", "symlink") and new in model.nodes:
        return None
    if kind == "create":
        keep = r.random() < 0.3 and len(nodes) < MOST_OPEN
        data = source.data()
        model.create(new, data, keep)
        return f"create {new} {len(data)}{' and keep it open' * keep}"
    if kind == "mkdir":
        model.mkdir(new)
        return f"mkdir {new}"
    if kind == "symlink":
        model.symlink(new, f"target-{r.randrange(1000)}")
        return f"symlink {new}"
    if kind == "open" and closed and len(nodes) < MOST_OPEN:
        path, truncate = source.one(closed), r.random() < 0.3
        model.open(path, truncate)
        return f"open {path}{' truncating' * truncate}"
    if kind == "append" and closed:
        path, data = source.one(closed), source.data()
        model.append_and_close(path, data)
        return f"append {path} {len(data)}"
    if kind == "truncate-path" and closed:
        path = source.one(closed)
        size = r.randrange(len(model.nodes[path].live) + PART)
        model.truncate_path(path, size)
        return f"truncate {path} {size}"
    if kind in ("write", "add", "truncate", "fsync", "close") and nodes:
        return step_on_open(model, source, kind, source.one(nodes))
    if kind == "chmod" and model.nodes:
        path = source.one(model.of_kind(FILE, DIRECTORY))
        if path is None:
            return None
        mode = source.one((0o600, 0o644, 0o700, 0o751))
        model.chmod(path, mode)
        return f"chmod {path} {mode:o}"
    if kind == "times" and closed:
        path, mtime = source.one(closed), r.randrange(10**18)
        model.set_times(path, mtime)
        return f"times {path} {mtime}"
    if kind == "read" and files:
        path = source.one(files)
        assert (model.root / path).read_bytes() == model.nodes[path].live, f"read {path}"
        return f"read {path}"
    return step_on_names(model, source, kind, new)


def name_of(model, node):
    return next((p for p, n in model.nodes.items() if n is node), "(unlinked)")


def step_on_open(model, source, kind, node):
    name = name_of(model, node)
    if kind == "write":
        data, at = source.data(), source.random.randrange(len(node.live) + 1000)
        model.write(node, data, at)
        return f"write {name} {at}+{len(data)}"
    if kind == "add":
        data = source.data()
        model.append(node, data)
        return f"add {name} {len(data)}"
    if kind == "truncate":
        size = source.random.randrange(len(node.live) + PART)
        model.truncate_fd(node, size)
        return f"ftruncate {name} {size}"
    getattr(model, kind)(node)
    return f"{kind} {name}"


def step_on_names(model, source, kind, new):
    if kind == "unlink":
        path = source.one(model.of_kind(FILE, LINK))
        if path is None:
            return None
        model.unlink(path)
        return f"unlink {path}"
    if kind == "rmdir":
        path = source.one(p for p in model.of_kind(DIRECTORY) if not model.children(p))
        if path is None:
            return None
        model.rmdir(path)
        return f"rmdir {path}"
    if kind == "rename":
        path = source.one(model.of_kind(FILE, LINK, DIRECTORY))
        if path is None or not may_rename(model, path, new):
            return None
        model.rename(path, new)
        return f"rename {path} {new}"
    return None


def may_rename(model, path, to):
    node, target = model.nodes[path], model.nodes.get(to)
    if path == to or to.startswith(path + "/"):
        return False
    if node.kind == DIRECTORY:
        deepest = max([p.count("/") for p in model.children(path)], default=path.count("/"))
        if deepest - path.count("/") + to.count("/") > DEPTH:
            return False
        return target is None or (target.kind == DIRECTORY and not model.children(to))
    return target is None or target.kind != DIRECTORY
