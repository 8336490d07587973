#!/usr/bin/env python3
"""What is left to do at close: a file is written at a steady rate, to a bucket a little faster.

Tells the seconds from close to the end of `sync`, with early=on and early=off.
OSSUP_BENCH_MIB: size of the file; OSSUP_BENCH_WRITE, OSSUP_BENCH_SERVER: MB/s.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from common import MEMORY_DISK, Server, build_of_arguments

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from ossup_testlib.mount import Mount  # noqa: E402

MB = 10**6
CHUNK = 1 << 20
SIZE = int(os.environ.get("OSSUP_BENCH_MIB", "1024")) * CHUNK
WRITE_RATE = int(os.environ.get("OSSUP_BENCH_WRITE", "200")) * MB
SERVER_RATE = int(os.environ.get("OSSUP_BENCH_SERVER", "250")) * MB


def write_steadily(path):
    """Returns the rate that came about, bytes/s."""
    chunk = os.urandom(CHUNK)
    began = time.monotonic()
    with open(path, "wb", 0) as file:
        for at in range(0, SIZE, CHUNK):
            ahead = at / WRITE_RATE - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
            file.write(chunk)
        rate = SIZE / (time.monotonic() - began)
    return rate


def run(build, folder, early):
    server = Server(build, folder)
    server.start()
    mount = Mount(build, server, folder, early=early, log="warn")
    try:
        server.option(bandwidth_up=SERVER_RATE, no_md5=True)
        mount.start()
        rate = write_steadily(mount.path / "big")
        closed = time.monotonic()
        mount.sync(timeout=600)
        seconds = time.monotonic() - closed
        print(f"early={early:3} wrote {rate / MB:5.0f} MB/s, sync took {seconds:5.2f} s after close")
        mount.umount()
    finally:
        mount.destroy()
        server.kill()


def main():
    build = build_of_arguments()
    for early in ("on", "off"):
        with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as folder:
            run(build, Path(folder), early)


if __name__ == "__main__":
    main()
