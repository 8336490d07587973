"""`ossfs-up put` as a user runs it: a process of its own, beside the server of the test."""

import atexit
import os
import subprocess

from .server import KEY_ID, REGION, SECRET
from .wait import PATIENCE


class Put:
    def __init__(self, build, server, folder):
        self.build, self.server, self.folder = build, server, folder
        self.home = folder / "home"
        self.home.mkdir()
        self.env = {}

    def environment(self):
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("OSS_", "ALIBABA_"))}
        return {
            **inherited,
            **self.build.sanitizer_env(),
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "OSS_ENDPOINT": self.server.endpoint,
            "OSS_REGION": REGION,
            "OSS_ACCESS_KEY_ID": KEY_ID,
            "OSS_ACCESS_KEY_SECRET": SECRET,
            **self.env,
        }

    def command(self, *words):
        return [str(self.build.program), "put", *map(str, words)]

    def start(self, *words, **options):
        """The process; the test waits for it or ends it. It does not outlive the suite."""
        process = subprocess.Popen(
            self.command(*words),
            env=self.environment(),
            cwd=self.folder,
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )
        atexit.register(process.kill)  # does nothing to one that has been waited for
        return process

    def run(self, *words, **options):
        """The finished process: .returncode, .stdout, .stderr."""
        return subprocess.run(
            self.command(*words),
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            **(options if "input" in options else {"stdin": subprocess.DEVNULL, **options}),
        )

    def command_run(self, *words):
        """Another command than put, finished, in the same surroundings."""
        return subprocess.run([str(self.build.program), *map(str, words)], env=self.environment(),
                              cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE,
                              check=False, stdin=subprocess.DEVNULL)

    def ok(self, *words, **options):
        done = self.run(*words, **options)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def refused(self, *words, status=1, **options):
        """The one line that it says."""
        done = self.run(*words, **options)
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("ossfs-up: ")
        return lines[0]
