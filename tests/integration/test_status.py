"""status: what its JSON holds is what the man page tells, and --watch goes on."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from ossup_testlib import unmount
from ossup_testlib.wait import PATIENCE, wait_until

MAN = Path(__file__).resolve().parents[2] / "packaging/man/ossfs-up.1"


def keys_of(value):
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from keys_of(member)
    if isinstance(value, list):
        for member in value:
            yield from keys_of(member)


def test_every_key_is_told_in_the_man_page(make_mount, server):
    server.fault("PutObject", {"type": "status", "status": 403, "code": "AccessDenied"}, key="bad")
    server.fault("UploadPart", {"type": "status", "status": 500, "code": "InternalError"})
    mount = make_mount(part_size="100K").start()
    mount.allow_errors("upload parked key=bad")
    (mount.path / "bad").write_bytes(b"x")
    (mount.path / "big").write_bytes(os.urandom(300 << 10))

    def both():
        status = mount.status()
        return status if status["failed"] and status["uploads"] else None

    status = wait_until("one is parked, one on its way", both)
    assert status["failed"][0]["code"] == "AccessDenied"

    def state_of(name):
        return os.getxattr(mount.path / name, "user.ossfs-up.state").decode()

    assert state_of("bad") == f"failed: {status['failed'][0]['error']}"
    assert state_of("big") == "pending"
    section = MAN.read_text().split(".Sh STATUS", 1)[1].split(".Sh ", 1)[0]
    told = set(re.findall(r"[a-z_]+", section))
    assert set(keys_of(status)) <= told, set(keys_of(status)) - told
    all_of_them = json.loads(mount.run("status", "--json").stdout)
    assert str(mount.path) in [one["mountpoint"] for one in all_of_them["mounts"]]
    server.clear_faults()
    mount.run("spool", "resume", mount.path)
    mount.sync()
    assert state_of("bad") == state_of("big") == "synced"


def test_watch_shows_it_again_and_again(mount):
    with subprocess.Popen([str(mount.build.program), "status", str(mount.path), "--watch", "--json"],
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          env=mount.environment(), text=True) as watching:
        try:
            first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
            assert first["pid"] == second["pid"] == mount.process.pid
        finally:
            watching.send_signal(signal.SIGINT)
            watching.wait(PATIENCE)


def test_a_daemon_that_was_unmounted_is_shown_while_it_uploads(mount, server, bucket):
    server.fault("PutObject", {"type": "status", "status": 500, "code": "InternalError"})
    conf = mount.cwd / ".config/ossfs-up.conf"
    conf.parent.mkdir()
    conf.write_text(f"[default]\nspool = {mount.spool}\n")
    (mount.path / "f").write_bytes(b"x")
    unmount(mount.path)

    def draining():
        mounts = json.loads(mount.run("status", "--json").stdout)["mounts"]
        return [one for one in mounts if one["pid"] == mount.process.pid and
                one["state"] == "draining" and one["pending"]["files"] == 1]

    wait_until("it is shown", draining)
    assert "draining" in mount.run("status").stdout
    server.clear_faults()
    assert mount.process.wait(PATIENCE) == 0
    assert bucket.get("f") == b"x"


def test_sync_gives_up_after_its_time_and_says_so(mount, server):
    server.fault("PutObject", {"type": "status", "status": 500, "code": "InternalError"})
    (mount.path / "f").write_bytes(b"x")
    done = mount.run("sync", mount.path, "--timeout", "1", check=False)
    assert done.returncode == 124
    assert len(done.stderr.strip().splitlines()) == 1
    server.clear_faults()


def test_wrong_words_are_told_from_what_goes_wrong(mount):
    for command in ("status", "sync", "spool"):
        assert mount.run(command, "--help").stdout.startswith(f"usage: ossfs-up {command}")
    for words in [("sync",), ("sync", mount.path, "--timeout", "soon"), ("status", "--no-such"),
                  ("spool", "list", mount.path), ("spool", "resume", mount.path, mount.path),
                  ("spool", "list", "--no-such"), ("spool", "list", "-o", "no_such=1")]:
        done = mount.run(*words, check=False)
        assert done.returncode == 2 and done.stdout == "" and done.stderr, words
