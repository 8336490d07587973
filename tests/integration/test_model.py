"""Random histories with kills and remounts: what was closed or fsynced is what there is.

A failure tells its seed: OSSUP_SEED=N runs that history alone, in test_histories[0].
"""

import pytest

import histories
from model import Model, difference, step
from ossup_testlib import wait_until
from ossup_testlib.campaign import LONG_SHARES, chosen, long_campaign, long_seeds

NORMAL, SANITIZED = 100, 24
SHARES = 4  # tests that share the histories of the normal run

BUSY = {"type": "status", "status": 503, "code": "ServiceUnavailable"}
LOST = {"type": "apply-no-answer"}
CUT = {"type": "cut-after-body"}
SLOW = {"type": "delay", "ms": 30}
FAULTS = [  # of what the test itself does not ask for
    (operation, action)
    for operations, actions in [
        (("PutObject", "CopyObject", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload",
          "DeleteMultipleObjects"), (BUSY, LOST, CUT, SLOW)),
        (("InitiateMultipartUpload", "ListParts", "AbortMultipartUpload"), (BUSY, CUT, SLOW)),
    ]
    for operation in operations
    for action in actions
]


class History(histories.History):
    """Files, folders and links, as programs make them."""

    def __init__(self, make_mount, server, seed):
        super().__init__(server, "h", seed)
        settle = self.source.one(("0", "50ms", "1h"))
        self.mount = self.new_mount(
            make_mount,
            settle=settle,
            open_flush="1h",
            attr_timeout=self.source.one(("0", "1s")),
        )
        self.model = Model(self.mount.path)
        self.faulty = self.source.random.random() < 0.5
        self.told.append(f"settle={settle}")

    def _next(self):
        chance = self.source.random.random()
        if chance < 0.07:
            self._kill()
        elif chance < 0.10:
            self._remount()
        elif chance < 0.15:
            self.told.append("sync")
            self._sync()
        elif chance > 0.88 and self.faulty:
            operation, action = self.source.one(FAULTS)
            self.told.append(f"fault {operation} {action}")
            self.server.fault(operation, action, nth=self.source.random.randrange(1, 6))
        else:
            done = step(self.model, self.source)
            if done:
                self.told.append(done)

    def _check_versions(self):
        """Also in between no object has a content that no writer had closed or fsynced."""
        for key, body in self._bodies().items():
            assert self.model.is_version(body), f"a torn object: {key}, {len(body)} bytes"

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
        wait_until("no upload is unfinished", lambda: not self._uploads())
        self._check_spool()

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


def run_all(make_mount, server, seeds):
    for seed in seeds:
        History(make_mount, server, seed).run()


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
