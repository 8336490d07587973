"""
The same work through three mounts: ossfs-up, s3fs and rclone. They take turns, each time with a server
of its own, mounted with their defaults but for where their files lie (rclone: full cache, and no
delay before it uploads; ossfs-up: the spool may fill its disk). Medians are compared.

A write counts until the object is in the bucket: the time at which `cp` returns means something else
for each of them. So ossfs-up's half second of settling counts, too. When it was there the server's
log tells, which is read now and then only: a busy reader would slow down who makes many requests.
s3fs and rclone speak S3, which the server takes for their sake (--s3).
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time

from common import KEY_ID, MIB, ROUNDS, SECRET
from common import build_of_arguments, environment, machine, median, workplace

from ossup_testlib.wait import wait_until

BIG, MIDDLE, SMALL_COUNT, SMALL = 1024 * MIB, 256 * MIB, 1000, 10 << 10
PATIENCE = 300
LOOK = 0.2  # seconds between two looks into the server's log
PUBLISHING = ("PutObject", "CompleteMultipartUpload", "CopyObject")


class Ours:
    name = "ossfs-up"

    def __init__(self, build, folder, server):
        self.env = environment(server, folder)
        self.command = [build.program, "bucket", folder / "mount", "-f", "-o",
                        f"spool={folder / 'spool'},spool_reserve=0"]


class S3fs:
    name = "s3fs"

    def __init__(self, _, folder, server):
        self.env = environment(server, folder)
        password = folder / "s3fs.passwd"
        password.write_text(f"{KEY_ID}:{SECRET}\n")
        password.chmod(0o600)
        (folder / "s3fs.tmp").mkdir()
        self.command = ["s3fs", "bucket", folder / "mount", "-f", "-o", f"passwd_file={password}",
                        "-o", f"url={server.endpoint}", "-o", "use_path_request_style", "-o",
                        "sigv4", "-o", "endpoint=cn-hangzhou", "-o", f"tmpdir={folder / 's3fs.tmp'}"]


class Rclone:
    name = "rclone"

    def __init__(self, _, folder, server):
        config = folder / "rclone.conf"
        config.write_text(
            "[oss]\ntype = s3\nprovider = Other\nforce_path_style = true\n"
            f"endpoint = {server.endpoint}\naccess_key_id = {KEY_ID}\n"
            f"secret_access_key = {SECRET}\n")
        self.env = {n: v for n, v in environment(server, folder).items() if n[:4] != "AWS_"}
        self.cache = folder / "rclone.cache"
        self.command = ["rclone", "--config", config, "mount", "oss:bucket", folder / "mount",
                        "--vfs-cache-mode", "full", "--vfs-write-back", "0s", "--cache-dir",
                        self.cache]


@contextlib.contextmanager
def mounted(peer, folder):
    """Fresh each time: no cache of what an earlier mount read or wrote."""
    point = folder / "mount"
    point.mkdir(exist_ok=True)
    if hasattr(peer, "cache"):
        shutil.rmtree(peer.cache, ignore_errors=True)
    with open(folder / "mount.log", "ab") as log:
        process = subprocess.Popen([str(word) for word in peer.command], env=peer.env, stdout=log,
                                   stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_until("it is mounted", lambda: os.path.ismount(point) or process.poll() is not None)
        if process.poll() is not None:
            raise SystemExit((folder / "mount.log").read_text()[-500:])
        yield point
        subprocess.run(["umount", point], check=True)
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            subprocess.run(["umount", "-l", point], check=False)
            process.kill()
            process.wait(PATIENCE)


def published(server):
    """When each key was published for the last time."""
    return {e["key"]: e["time"] for e in server.requests(*PUBLISHING) if e["status"] == 200}


def await_published(server, keys):
    """The time at which the last of @keys was published."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        times = published(server)
        if keys <= times.keys():
            return max(times[key] for key in keys)
        time.sleep(LOOK)
    raise SystemExit(f"not in the bucket after {PATIENCE} s: {sorted(keys - times.keys())[:3]}")


def timed(server, work, keys=frozenset()):
    """(seconds till it is done and @keys are published, requests)"""
    server.clear_log()
    began = time.time()
    work()
    ended = time.time()
    if keys:
        ended = max(ended, await_published(server, keys))
    time.sleep(0.5)  # what it asks afterwards counts, too
    return ended - began, len(server.log())


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def change_a_byte(path):
    with open(path, "r+b", buffering=0) as file:
        file.seek(MIDDLE // 2)
        file.write(b"x")


def read_all(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(MIB):
            pass


def measure_peer(build, kind):
    with workplace(build, ["--s3"], md5=True) as (folder, server):
        noise = random.Random(2).randbytes(MIB)
        with open(folder / "big", "wb") as big:
            for number in range(BIG // MIB):
                big.write(number.to_bytes(8, "big") + noise[8:])
        (folder / "small").mkdir()
        for number in range(SMALL_COUNT):
            (folder / "small" / str(number)).write_bytes(noise[number : number + SMALL])
        os.truncate(shutil.copy(folder / "big", folder / "middle"), MIDDLE)
        subprocess.run([build.program, "put", folder / "middle", "oss://bucket/middle"],
                       env=environment(server, folder), check=True)
        peer = kind(build, folder, server)
        result = {}
        with mounted(peer, folder) as point:
            result["cp of 1 GiB in"] = timed(
                server, lambda: run("cp", folder / "big", point / "big"), {"big"})
        with mounted(peer, folder) as point:
            result["cp -r of 1,000 files of 10 KiB in"] = timed(
                server, lambda: run("cp", "-r", folder / "small", point / "small"),
                {f"small/{number}" for number in range(SMALL_COUNT)})
        with mounted(peer, folder) as point:
            result["read of 1 GiB"] = timed(server, lambda: read_all(point / "big"))
        with mounted(peer, folder) as point:
            result["a byte changed in 256 MiB"] = timed(
                server, lambda: change_a_byte(point / "middle"), {"middle"})
        with mounted(peer, folder) as point:
            result["ls -lR, mounted again"] = timed(server, lambda: run("ls", "-lR", point))
        return result


def medians(rounds):
    """Of the results of one peer: {what: (seconds, requests)}"""
    return {what: tuple(median([result[what][i] for result in rounds]) for i in range(2))
            for what in rounds[0]}


def main():
    build = build_of_arguments()
    for program in ("s3fs", "rclone"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is missing: apt-get install s3fs rclone")
    kinds = [Ours, S3fs, Rclone]
    rounds = [[measure_peer(build, kind) for kind in kinds] for _ in range(ROUNDS)]
    results = [medians(of_one) for of_one in zip(*rounds)]
    print(f"seconds (of ossfs-up's) and requests; median of {ROUNDS}; {machine()}\n")
    print("| | " + " | ".join(kind.name for kind in kinds) + " |")
    print("|---|" + "---|" * len(kinds))
    for what, (ours, _) in results[0].items():
        cells = [f"{result[what][0]:.2f} s ({result[what][0] / ours:.1f}x), {result[what][1]:.0f}"
                 for result in results]
        print(f"| {what} | " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
