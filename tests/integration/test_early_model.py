"""Random histories of files that are sent while they are written, with faults and kills.

A failure tells its seed: OSSUP_SEED=N runs that history alone, in test_histories[0].
"""

import contextlib
import ctypes
import errno
import mmap
import os

import pytest

import histories
from model import FILE, Model, difference
from ossup_testlib import wait_until
from ossup_testlib.campaign import LONG_SHARES, chosen, long_campaign, long_seeds

NORMAL, SANITIZED = 18, 6
SHARES = 2  # tests that share the histories of the normal run
PART = 100 << 10
NAMES = ("a", "b", "c.tmp", "d/a", "d/b", "e/a")
FOLDERS = ("d", "e", "f")
MOST = 25 * PART  # a file is not made longer
PUNCH = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
libc = ctypes.CDLL(None, use_errno=True)


def status(number, code):
    return {"type": "status", "status": number, "code": code}


FAULTS = [
    ("UploadPart", status(500, "InternalError")),
    ("UploadPart", status(503, "ServiceUnavailable")),
    ("UploadPart", {"type": "cut-after-bytes", "bytes": 30000}),
    ("UploadPart", {"type": "cut-after-body"}),
    ("UploadPart", {"type": "apply-no-answer"}),
    ("UploadPart", {"type": "wrong-crc"}),
    ("UploadPart", {"type": "corrupt-body", "at": 17}),
    ("UploadPart", {"type": "abort-upload"}),
    ("UploadPart", {"type": "delay", "ms": 50}),
    ("InitiateMultipartUpload", status(500, "InternalError")),
    ("InitiateMultipartUpload", {"type": "delay", "ms": 50}),
    ("InitiateMultipartUpload", {"type": "apply-no-answer"}),
    ("CompleteMultipartUpload", status(500, "InternalError")),
    ("CompleteMultipartUpload", {"type": "apply-no-answer"}),
    ("CompleteMultipartUpload", {"type": "abort-upload"}),
    ("CompleteMultipartUpload", {"type": "delay", "ms": 50}),
    ("AbortMultipartUpload", {"type": "apply-no-answer"}),
    ("UploadPartCopy", {"type": "apply-no-answer"}),
    ("PutObject", {"type": "apply-no-answer"}),
]


class Files(Model):
    """Files below a few folders, that are written in all the ways there are."""

    def write(self, node, data, at):
        done = os.pwrite(node.fd, data, at) if data else 0
        if not done:
            return
        node.live.extend(bytes(max(0, at + done - len(node.live))))
        node.live[at : at + done] = data[:done]
        if done < len(data):  # there was room for a part of it
            self.write(node, data[done:], at + done)

    def punch(self, node, at, size):
        done = libc.fallocate(node.fd, PUNCH, ctypes.c_long(at), ctypes.c_long(size))
        assert done == 0, os.strerror(ctypes.get_errno())
        end = min(at + size, len(node.live))
        if at < end:
            node.live[at:end] = bytes(end - at)

    def write_mapped(self, node, data, at, flush):
        with mmap.mmap(node.fd, len(node.live)) as mapped:  # it has a descriptor of its own
            mapped[at : at + len(data)] = data
            node.live[at : at + len(data)] = data
            if flush:
                mapped.flush()
        if node not in self.detached:
            self.stabilise(node)

    def second_handle(self, path, data, at):
        """Another program patches the file, and closes it, while it is open here."""
        node = self.nodes[path]
        with open(self.root / path, "rb+", 0) as file:
            assert os.pwrite(file.fileno(), data, at) == len(data)
        node.live.extend(bytes(max(0, at + len(data) - len(node.live))))
        node.live[at : at + len(data)] = data
        self.stabilise(node)

    def patch_and_close(self, node, data):
        self.write(node, data, 0)
        self.close(node)


class History(histories.History):
    """Files that are long enough to be sent while they are written, with faults of the server."""

    OPTIONS = {}
    FAULTS = FAULTS

    def __init__(self, make_mount, server, seed):
        super().__init__(server, "e", seed)
        self.random = self.source.random
        options = {
            "settle": self.source.one(("0", "20ms", "1h")),
            "open_flush": self.source.one(("1s", "1h")),
            "attr_timeout": self.source.one(("0", "1s")),
            "close": self.source.one((None, None, "upload")),
            "fsync": self.source.one((None, None, "upload")),
        }
        self.mount = self.new_mount(make_mount, **options, **self.OPTIONS)
        self.closing_waits = options["close"] is not None  # and a fork closes what is open
        self.faulty = self.random.random() < 0.5
        speed = self.source.one((0, 0, 4 << 20, 16 << 20))
        self.server.option(**{"bandwidth-up": speed})
        self.model = Files(self.mount.path)
        self.model.flushes = options["open_flush"] == "1s"
        self.told.append(f"{options} bandwidth={speed}")

    def _begin(self):
        for name in FOLDERS[:2]:
            self.model.mkdir(name)

    # -- what is done --

    def _next(self):
        chance = self.random.random()
        if chance < 0.04:
            self._kill()
        elif chance < 0.06:
            self._remount()
        elif chance < 0.10:
            self.told.append("sync")
            self._sync()
        elif chance > 0.90 and self.faulty:
            operation, action = self.source.one(self.FAULTS)
            self.told.append(f"fault {operation} {action}")
            self.server.fault(operation, action, key=f"{self.prefix}/*",
                              nth=self.random.randrange(1, 6))
        elif chance < 0.12 and not self.closing_waits:
            self.told.append("the server dies and comes back")
            self.server.restart()
            self.model.forked()
        else:
            self._step()

    def _step(self):
        nodes = self.model.open_nodes()
        if not nodes or self.random.random() < 0.25:
            done = self._on_a_name()
        else:
            done = self._on_open(self.source.one(nodes))
        if done:
            self.told.append(done)

    def _name(self):
        return self.source.one(
            name for name in NAMES
            if "/" not in name or os.path.dirname(name) in self.model.nodes
        )

    def _on_a_name(self):
        model, path = self.model, self._name()
        kind = self.random.choices(("begin", "rename", "unlink", "rename folder", "append"),
                                   (12, 4, 2, 2, 3))[0]
        node = model.nodes.get(path)
        if kind == "rename folder":
            return self._rename_folder()
        if kind == "rename":
            return self._rename(path)
        if kind == "unlink":
            if node is None:
                return None
            model.unlink(path)
            return f"unlink {path}"
        if kind == "append" and node is not None and node.fd is None:
            data = self._data()
            model.append_and_close(path, data)
            return f"append {path} {len(data)}"
        if len(model.open_nodes()) >= 3 or (node is not None and node.fd is not None):
            return None
        data = self._data(8)
        if node is None:
            model.create(path, b"", True)
        else:
            model.open(path, self.random.random() < 0.6)
        node = model.nodes[path]
        self._append(node, data)
        return f"begin {path} {len(data)}"

    def _rename(self, path):
        model, to = self.model, self._name()
        if path not in model.nodes or path == to:
            return None
        model.rename(path, to)
        return f"rename {path} {to}"

    def _rename_folder(self):
        have = [name for name in FOLDERS if name in self.model.nodes]
        free = [name for name in FOLDERS if name not in self.model.nodes]
        path, to = self.source.one(have), self.source.one(free)
        if path is None or to is None:
            return None
        self.model.rename(path, to)
        return f"rename {path} {to}"

    def _data(self, parts=4):
        most = parts * PART
        return self.random.randbytes(self.random.choice((
            self.random.choice((1, 4096, PART - 1, PART, PART + 1, most + 77)),
            self.random.randrange(most) + 1,
        )))

    def _append(self, node, data):
        """As programs do it: piece by piece."""
        for at in range(0, len(data), 64 << 10):
            self.model.write(node, data[at : at + (64 << 10)], len(node.live))
            self.model.step_done()  # it may wait for room

    def _on_open(self, node):
        model, r = self.model, self.random
        name = next((p for p, n in model.nodes.items() if n is node), "(unlinked)")
        kind = r.choices(("append", "back", "gap", "cut", "grow", "zero", "punch", "map", "fsync",
                          "close", "header", "second", "pause", "read"),
                         (12, 4, 1, 2, 1, 1.5, 2, 2, 2, 3, 3, 2, 6, 2))[0]
        size = len(node.live)
        at = r.randrange(size) if size else 0
        data = self._data()
        if kind == "append" and size < MOST:
            data = self._data(8)
            self._append(node, data)
        elif kind == "back":
            model.write(node, data[: r.choice((10, len(data)))], at)
        elif kind == "gap" and size < MOST:
            at = size + r.randrange(2 * PART)
            model.write(node, data, at)
        elif kind == "cut":
            model.truncate_fd(node, at)
        elif kind == "grow" and size < MOST:
            model.truncate_fd(node, size + at)
        elif kind == "zero":
            model.truncate_fd(node, 0)
            self._append(node, data)
        elif kind == "punch" and size:
            model.punch(node, at, len(data))
        elif kind == "map" and at + len(data) <= size:
            model.write_mapped(node, data, at, r.random() < 0.3)
        elif kind == "fsync":
            model.fsync(node)
        elif kind == "close":
            model.close(node)
        elif kind == "header":
            model.patch_and_close(node, data[:100])
        elif kind == "second" and name in model.nodes:
            model.second_handle(name, data[:100], at)
        elif kind == "pause":
            self._pause()
        elif kind == "read":
            seen = os.pread(node.fd, size + 1, 0)
            assert seen == node.live, f"read {name}: {len(seen)} of {size} bytes"
        else:
            return None
        return f"{kind} {name} at={at} data={len(data)} of={size}"

    def _pause(self):
        """Something is sent, if something is to be sent."""
        before = len(self.server.log())
        with contextlib.suppress(AssertionError):
            wait_until("a request", lambda: len(self.server.log()) > before, 0.1)

    # -- what is there then --

    def _objects(self):
        found = {}
        for key, body in self._bodies().items():
            name = key[len(self.prefix) + 1 :]
            if name and not name.endswith("/"):
                found[name] = body
        return found

    def _check_versions(self):
        """Also in between no object has a content that no writer had closed or fsynced."""
        for name, body in self._objects().items():
            assert self.model.is_version(body), f"a torn object: {name}, {len(body)} bytes"

    def _check_bucket(self):
        if self.model.open_nodes():  # these are not published, and what they replace stays
            self._check_versions()
            return
        want = {path: (n.stable,) for path, n in self.model.nodes.items() if n.kind == FILE}
        have = {name: (body,) for name, body in self._objects().items()}
        wrong = difference(want, have)
        assert not wrong, "the bucket: " + "; ".join(wrong)
        wait_until("no upload is unfinished", lambda: not self._uploads())
        self._check_spool()


class SmallSpool(History):
    """Files larger than the spool: what was let go can be read and changed after the close only."""

    OPTIONS = {"spool_size": "2M"}
    FAULTS = [(operation, action) for operation, action in FAULTS
              if action["type"] != "abort-upload"]  # with it the bytes are gone
    REFUSED = (errno.ENOSPC, errno.EIO, errno.EBUSY)

    def run(self):
        self.mount.allow_errors("is not taken over", "larger than the spool")
        super().run()

    def _step(self):
        nodes = self.model.open_nodes()
        if not nodes or self.random.random() < 0.3:
            self._on_a_name()
        else:
            self._on_open(self.source.one(nodes))

    @contextlib.contextmanager
    def _may_be_refused(self, done, node=None):
        """A file that could not be written on is given up."""
        begin = len(self.told)
        self.told.append(done)
        try:
            yield
        except OSError as error:
            if error.errno not in self.REFUSED:
                raise
            self.told[begin] += f": {error.strerror}"
            if node is not None:
                self._give_up(node)

    def _give_up(self, node):
        name = next((p for p, n in self.model.nodes.items() if n is node), None)
        if name is not None:
            self.model.unlink(name)
        with contextlib.suppress(OSError):
            os.close(node.fd)
        node.fd = None
        self.model.detached.remove(node)

    def _on_a_name(self):
        model, path, to = self.model, self._name(), self._name()
        node = model.nodes.get(path)
        kind = self.random.choices(("begin", "rename", "unlink", "folder", "append", "read"),
                                   (12, 4, 2, 2, 3, 3))[0]
        closed = node is not None and node.fd is None
        if kind == "folder":
            with self._may_be_refused("rename a folder"):
                self._rename_folder()
        elif kind == "rename" and node is not None and path != to:
            with self._may_be_refused(f"rename {path} {to}"):
                model.rename(path, to)
        elif kind == "unlink" and node is not None:
            self.told.append(f"unlink {path}")
            model.unlink(path)
        elif kind == "read" and closed:
            self.told.append(f"read {path}")
            assert (model.root / path).read_bytes() == node.live, f"read {path}"
        elif kind in ("begin", "append") and len(model.open_nodes()) < 2 and (
                node is None or closed):
            if closed:
                model.open(path, kind == "begin")
            else:
                model.create(path, b"", True)
            node = model.nodes[path]
            data = self._data(20)
            with self._may_be_refused(f"{kind} {path} {len(data)}", node):
                self._append(node, data)

    def _on_open(self, node):
        model = self.model
        name = next((p for p, n in model.nodes.items() if n is node), "(unlinked)")
        kind = self.random.choices(("append", "zero", "fsync", "close", "pause", "back"),
                                   (10, 1, 1, 3, 3, 0.5))[0]
        data = self._data(25)
        told = f"{kind} {name} {len(data)} of {len(node.live)}"
        if kind == "pause":
            self._pause()
        elif kind == "close":
            with self._may_be_refused(told, node):
                model.close(node)
        elif kind == "fsync":
            with self._may_be_refused(told, node):
                model.fsync(node)
        elif kind == "zero":
            with self._may_be_refused(told, node):
                model.truncate_fd(node, 0)
                self._append(node, data)
        elif kind == "back" and len(node.live):
            with self._may_be_refused(told, node):
                model.write(node, data, self.random.randrange(len(node.live)))
        elif len(node.live) < 3 * MOST:
            with self._may_be_refused(told, node):
                self._append(node, data)

    def _check_mount(self):
        if not self.model.open_nodes():
            super()._check_mount()


def run_all(make_mount, server, seeds):
    for seed in seeds:
        (SmallSpool if seed % 3 == 2 else History)(make_mount, server, seed).run()


@pytest.mark.limit(600)
@pytest.mark.parametrize("share", range(SHARES))
def test_histories(build, make_mount, server, share):
    seeds = range(share, build.smaller(NORMAL, SANITIZED), SHARES)
    run_all(make_mount, server, chosen(seeds))


@long_campaign
@pytest.mark.limit(36000)
@pytest.mark.parametrize("share", range(LONG_SHARES))
def test_long_histories(make_mount, server, share):
    run_all(make_mount, server, long_seeds(share))
