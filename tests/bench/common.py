"""What the benchmarks share: a server and files on memory-speed disk, and a program that is measured."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from ossup_testlib.build import Build  # noqa: E402
from ossup_testlib.server import KEY_ID, REGION, SECRET, Server  # noqa: E402

MIB = 1 << 20
ROUNDS = int(os.environ.get("OSSUP_BENCH_ROUNDS", "3"))
MEMORY_DISK = os.environ.get("OSSUP_BENCH_DIR", "/dev/shm")


class Cost:
    """What a program cost: seconds of wall clock and of processor, most bytes of memory."""

    def __init__(self, wall, usage, peak):
        self.wall = wall
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = peak


def watch_memory(pid, peaks):
    """Till it ends. The kernel's own maximum (ru_maxrss) begins with that of this interpreter."""
    try:
        while True:
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                found = [line.split()[1] for line in status if line.startswith("VmHWM:")]
            if not found:  # it has ended
                return
            peaks.append(int(found[0]) << 10)
            time.sleep(0.01)
    except FileNotFoundError:
        return


def measure(words, **options):
    """Runs the program; children that it waited for count, but not for the memory."""
    peaks = []
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in words], **options)
    watcher = threading.Thread(target=watch_memory, args=(process.pid, peaks))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{words[0]} ended with {process.returncode}")
    return Cost(wall, usage, peaks[-1])


def median(values):
    return statistics.median(values)


def machine():
    with open("/proc/meminfo", encoding="ascii") as info:
        memory = int(info.readline().split()[1]) / (1 << 20)
    return f"{os.cpu_count()} cores, {memory:.0f} GiB of memory"


def environment(server, folder):
    """For our program: no configuration of whoever runs this."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("OSS_", "ALIBABA_", "XDG_"))}
    return {**clean, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"),
            "OSS_ENDPOINT": server.endpoint, "OSS_REGION": REGION,
            "OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": SECRET}


@contextlib.contextmanager
def workplace(build, arguments=(), md5=False):
    """A folder on memory-speed disk and a server in it: (folder, server)"""
    folder = Path(tempfile.mkdtemp(prefix="ossup-bench-", dir=MEMORY_DISK))
    server = Server(build, folder, arguments=arguments)
    try:
        server.start()
        server.option(no_md5=not md5)
        yield folder, server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def build_of_arguments():
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {sys.argv[0]} BUILD")
    return Build(sys.argv[1])
