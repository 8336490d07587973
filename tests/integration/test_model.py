"""Random histories with kills and remounts: what was closed or fsynced is what there is.

A failure tells its seed: OSSUP_SEED=N runs that history alone, in test_histories[0].
"""

import os

import pytest

from model import Model, Source, difference, step
from ossup_testlib import wait_until

NORMAL, SANITIZED, LONG = 100, 24, 2000
SHARES = 4  # tests that share the histories of the normal run
STEPS = 30


class History:
    """One history on a mount of its own, in a prefix of its own of a shared bucket."""

    def __init__(self, make_mount, server, seed):
        self.source = Source(seed)
        self.seed = seed
        self.server, self.bucket = server, server.bucket()
        self.prefix = f"h{seed}"
        settle = self.source.one(("0", "50ms", "1h"))
        self.mount = make_mount(
            name=self.prefix,
            target=f"bucket:{self.prefix}",
            part_size="100K",
            settle=settle,
            open_flush="1h",
            attr_timeout=self.source.one(("0", "1s")),
        )
        self.model = Model(self.mount.path)
        self.told = [f"settle={settle}"]

    def run(self):
        self.mount.start()
        try:
            for _ in range(STEPS):
                self._next()
            self.model.close_all()
            self.told.append("end")
            self._sync()
            self.mount.umount()
        except (AssertionError, OSError) as error:
            told = "\n  ".join(self.told)
            raise AssertionError(f"seed {self.seed}: {error!s}\n  {told}") from error
        self.mount.remove()

    def _next(self):
        chance = self.source.random.random()
        if chance < 0.07:
            self._kill()
        elif chance < 0.10:
            self._remount()
        elif chance < 0.15:
            self.told.append("sync")
            self._sync()
        else:
            done = step(self.model, self.source)
            if done:
                self.told.append(done)

    def _kill(self):
        self.told.append("kill -9")
        self.mount.kill9()
        self.model.crash()
        self._check_versions()
        self.mount.start()
        # A rename that was cut short is finished while the mount is in use: it may show both names.
        wait_until("renames are finished", lambda: not self._mount_difference())
        self._check_mount()

    def _remount(self):
        self.told.append("remount")
        self.model.close_all()
        self.mount.umount()
        self._check_bucket()
        self.mount.start()
        self._check_mount()

    def _mount_difference(self):
        return difference(self.model.expected(), self.model.seen())

    def _check_mount(self):
        wrong = self._mount_difference()
        assert not wrong, "the mount: " + "; ".join(wrong)

    def _sync(self):
        self.model.forked()
        self.mount.sync()
        self._check_mount()
        self._check_bucket()

    def _check_versions(self):
        """Also in between no object has a content that no writer had closed or fsynced."""
        for key in self.bucket.keys(self.prefix + "/"):
            assert self.bucket.get(key) in self.model.versions, f"a torn object: {key}"

    def _check_bucket(self):
        have = {}
        for key in self.bucket.keys(self.prefix + "/"):
            name = key[len(self.prefix) + 1 :]
            if name:  # the marker of the prefix itself
                have[name] = (int(self.bucket.meta(key)["mode"]), self.bucket.get(key))
        if self.model.open_nodes():  # these are not published, and what they replace stays
            self._check_closed_are_in(have)
            return
        wrong = difference(self.model.expected_objects(), have)
        assert not wrong, "the bucket: " + "; ".join(wrong)
        uploads = [u for u in self.bucket.uploads() if u[0].startswith(self.prefix + "/")]
        assert uploads == []
        if not self.model.lost:  # files that were open in a crash are kept
            wait_until("the spool is empty", self._spool_is_empty)

    def _check_closed_are_in(self, have):
        closed = {
            path + "/" * (node.kind == "directory")
            for path, node in self.model.nodes.items()
            if node.fd is None
        }
        expected = {k: v for k, v in self.model.expected_objects().items() if k in closed}
        wrong = difference(expected, {k: v for k, v in have.items() if k in closed})
        assert not wrong, "the bucket: " + "; ".join(wrong)
        self._check_versions()

    def _spool_is_empty(self):
        suffixes = (".data", ".alt", ".ckpt")
        return not any(p.suffix in suffixes for p in self.mount.spool.rglob("*"))


def run_all(make_mount, server, seeds):
    for seed in seeds:
        History(make_mount, server, seed).run()


@pytest.mark.limit(600)
@pytest.mark.parametrize("share", range(SHARES))
def test_histories(build, make_mount, server, share):
    one = os.environ.get("OSSUP_SEED")
    seeds = [int(one)] if one else range(share, build.smaller(NORMAL, SANITIZED), SHARES)
    run_all(make_mount, server, seeds)


@pytest.mark.skipif("OSSUP_LONG" not in os.environ, reason="tests/long.sh runs it")
@pytest.mark.limit(36000)
@pytest.mark.parametrize("share", range(20))
def test_long_histories(make_mount, server, share):
    begin = int(os.environ.get("OSSUP_SEED", "1000"))
    run_all(make_mount, server, range(begin + share, begin + LONG, 20))
