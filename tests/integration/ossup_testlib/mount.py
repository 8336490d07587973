"""A mount of the program that is tested, in a folder and a process group of its own."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess

from .build import reports
from .server import KEY_ID, REGION, SECRET
from .wait import PATIENCE, wait_until

ERROR_LINE = re.compile(r"^\S+Z error .*$", re.MULTILINE)


def mount_points(table):
    """The paths in the lines of a mountinfo, where a blank is written as \\040."""
    return {
        re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4])
        for line in table
    }


def unmount(path):
    """fusermount3 -u, once nobody is in it: another test may be asking all mounts for their status."""
    def done():
        return subprocess.run(["fusermount3", "-u", str(path)], check=False, timeout=PATIENCE,
                              stderr=subprocess.DEVNULL).returncode == 0

    wait_until(f"{path} is unmounted", done)


class MountFailed(AssertionError):
    """The program ended before the mount was there; .output is what it said."""

    def __init__(self, status, output):
        super().__init__(f"no mount, exit status {status}: {output}")
        self.status = status
        self.output = output


class Mount:
    """
    options: of -o, beside endpoint, region and spool; None leaves one out, True is a flag.
    name:    tells two mounts of one test apart (folder, log)
    spool:   None: a folder of its own
    """

    def __init__(self, build, server, folder, name="mount", target="bucket", spool=None, **options):
        self.build, self.server, self.target = build, server, target
        self.folder = folder / name
        self.path = self.folder / "mnt"
        self.spool = spool or self.folder / "spool"
        self.log_path = self.folder / "daemon.log"
        self.cwd = self.folder / "cwd"
        for made in (self.path, self.cwd):
            made.mkdir(parents=True)
        self.options = options
        self.env = {}
        self.allowed_errors = []
        self.killed = False
        self.process = None

    # -- life --

    def command(self):
        options = {
            "endpoint": self.server.endpoint,
            "region": REGION,
            "spool": self.spool,
            "spool_reserve": "0",
            "attr_timeout": "0",
            "settle": "50ms",
            "log": "debug",
            **self.options,
        }
        text = ",".join(
            name if value is True else f"{name}={value}"
            for name, value in options.items()
            if value is not None
        )
        return [str(self.build.program), self.target, str(self.path), "-f", "-o", text]

    def environment(self):
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("OSS_", "ALIBABA_"))}
        return {
            **inherited,
            **self.build.sanitizer_env(),
            "HOME": str(self.cwd),
            "XDG_STATE_HOME": str(self.cwd / "state"),
            "OSS_ACCESS_KEY_ID": KEY_ID,
            "OSS_ACCESS_KEY_SECRET": SECRET,
            **self.env,
        }

    def start(self):
        """Mounts; comes back when the mount answers. Raises MountFailed."""
        assert not self.is_running()
        self.killed = False
        with open(self.log_path, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.cwd,
                start_new_session=True,
                env=self.environment(),
            )
        wait_until("the mount is there", lambda: self._mounted_or_ended(begin))
        os.stat(self.path)
        return self

    def _mounted_or_ended(self, begin):
        if self.process.poll() is not None:
            with open(self.log_path, "rb") as log:
                log.seek(begin)
                output = log.read().decode("utf-8", "replace")
            raise MountFailed(self.process.returncode, output)
        return self.is_mounted()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            return str(self.path) in mount_points(table)

    def umount(self, patience=PATIENCE):
        """umount, and wait till the daemon has drained and ended with status 0."""
        unmount(self.path)
        status = self.process.wait(patience)
        assert status == 0, f"the daemon ended with {status}, see {self.log_path}"

    def kill9(self):
        """The daemon dies at once; the dead mount is taken away."""
        self.killed = True
        if self.is_running():
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
        self.detach()

    def terminate(self, sent=signal.SIGTERM, patience=PATIENCE):
        """A signal that ends it in good order; returns the exit status."""
        os.kill(self.process.pid, sent)
        return self.process.wait(patience)

    def remount(self):
        self.umount()
        return self.start()

    def detach(self):
        if self.is_mounted():
            subprocess.run(
                ["fusermount3", "-u", "-z", str(self.path)],
                check=False,
                timeout=PATIENCE,
                stderr=subprocess.DEVNULL,
            )

    # -- what it says --

    def run(self, *words, check=True, timeout=PATIENCE):
        """Another command of the program, e.g. run("status", mount.path)."""
        done = subprocess.run(
            [str(self.build.program), *map(str, words)],
            env=self.environment(),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
            text=True,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{words} ended with {done.returncode}: {done.stderr}")
        return done

    def status(self):
        return json.loads(self.run("status", self.path, "--json").stdout)

    def sync(self, path=None, timeout=PATIENCE):
        """Waits till what is pending (below the path) is in the bucket."""
        where = self.path if path is None else self.path / path
        self.run("sync", where, "--timeout", f"{int(timeout)}s", timeout=timeout + 10)

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        return ""

    def spool_files(self):
        """Names of what is staged: data files and sidecars."""
        return sorted(
            name
            for _, _, files in os.walk(self.spool)
            for name in files
            if name.endswith((".data", ".alt", ".ckpt"))
        )

    def allow_errors(self, *patterns):
        """Lines of level error that match one of these do not fail the test."""
        self.allowed_errors += [re.compile(pattern) for pattern in patterns]

    # -- the end of a test --

    def finish(self):
        """After a test that passed: unmounts in good order."""
        if self.is_running():
            self.umount()

    def remove(self):
        """After its end, in the middle of a test: raises what problems() finds, leaves no folder."""
        found = self.problems()
        assert not found, "\n".join(found)
        shutil.rmtree(self.folder)

    def destroy(self):
        """Always: whatever the test did, nothing is left. Raises nothing."""
        if self.is_running():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
            self.killed = True
        self.detach()

    def problems(self):
        """What fails a test though its assertions held."""
        found = reports([self.log_path])
        found += [
            f"unexpected error line: {line}"
            for line in ERROR_LINE.findall(self.log())
            if not any(pattern.search(line) for pattern in self.allowed_errors)
        ]
        found += [f"core file: {path}" for path in self.cwd.glob("core*")]
        if SECRET in self.log():
            found.append("the secret is in the log")
        if self.process is not None and not self.killed and (self.process.returncode or 0) < 0:
            found.append(f"ended by signal {-self.process.returncode}")
        return found

    def repro(self):
        """Lines for a shell that mount it by hand, against the same server."""
        credentials = f"OSS_ACCESS_KEY_ID={KEY_ID} OSS_ACCESS_KEY_SECRET={SECRET}"
        return (
            f"{shlex.join(self.server.command())} &\n"
            f"{credentials} {shlex.join(self.command())}   # log: {self.log_path}"
        )
