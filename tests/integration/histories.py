"""Random histories on a mount: what happens and what must hold in all of them.

A failure tells its seed and its steps (ossup_testlib/campaign.py).
"""

from model import Source, difference
from ossup_testlib import wait_until


class History:
    """One history on a mount of its own, in a prefix of its own of a shared bucket.

    A subclass sets .mount and .model in its __init__, and says what is done: _next(), and what the
    bucket must hold then: _check_versions(), _check_bucket().
    """

    STEPS = 30

    def __init__(self, server, prefix, seed):
        self.source = Source(seed)
        self.seed = seed
        self.server, self.bucket = server, server.bucket()
        self.prefix = f"{prefix}{seed}"
        self.told = []

    def new_mount(self, make_mount, **options):
        return make_mount(
            name=self.prefix, target=f"bucket:{self.prefix}", part_size="100K", **options
        )

    def run(self):
        self.mount.start()
        try:
            self._begin()
            for _ in range(self.STEPS):
                self._next()
                self.model.step_done()
            self.model.close_all()
            self.told.append("end")
            self.server.clear_faults()
            self._sync()
            self.mount.umount()
        except (AssertionError, OSError) as error:
            told = "\n  ".join(self.told)
            raise AssertionError(f"seed {self.seed}: {error!s}\n  {told}") from error
        self.mount.remove()

    def _begin(self):
        """What is there before the first step."""

    # -- what happens in all of them --

    def _kill(self):
        self.told.append("kill -9")
        self.mount.kill9()
        self.model.crash()
        self._check_versions()
        self.mount.start()
        self.model.look()
        # A rename that was cut short is finished while the mount is in use: it may show both names.
        wait_until("renames are finished", lambda: not self._mount_difference())
        self._check_mount()

    def _remount(self):
        self.told.append("remount")
        self.model.close_all()
        self.server.clear_faults()
        self.mount.umount()
        self._check_bucket()
        self.mount.start()
        self._check_mount()

    def _sync(self):
        self.model.forked()
        self.mount.sync()
        self._check_mount()
        self._check_bucket()

    # -- what must hold --

    def _mount_difference(self):
        return difference(self.model.expected(), self.model.seen())

    def _check_mount(self):
        wrong = self._mount_difference() or self.model.wrong_times()
        assert not wrong, "the mount: " + "; ".join(wrong)

    def _bodies(self):
        """{key: body}; a request of a daemon that was killed may still take one away."""
        bodies = {key: self.bucket.get(key) for key in self.bucket.keys(self.prefix + "/")}
        return {key: body for key, body in bodies.items() if body is not None}

    def _uploads(self):
        return [u for u in self.bucket.uploads() if u[0].startswith(self.prefix + "/")]

    def _check_spool(self):
        if not self.model.lost:  # files that were open in a crash are kept
            wait_until("the spool is empty", lambda: not self.mount.spool_files())
