"""Secrets are in no argument, no log at any level, no answer, no file and no core."""

import os
import re
import resource
import signal
import stat
import urllib.parse
from pathlib import Path

import pytest

from ossup_testlib import wait_until
from ossup_testlib.put import Put

KEY_ID = "STS.key-that-may-be-seen"
SECRET = "secret+of/this~test"  # noqa: S105
TOKEN = "token+of/this=test" * 20  # noqa: S105
PART = 100 << 10
HIDDEN = [
    *(text.encode() for word in (SECRET, TOKEN, TOKEN[:36])
      for text in (word, urllib.parse.quote(word, safe=""), urllib.parse.quote(word))),
    b"OSS4-HMAC-SHA256", b"OSS " + KEY_ID.encode(), b"Signature=",
]


def told(where, data):
    """A line for each secret in these bytes."""
    return [f"{hidden.decode()} in {where}" for hidden in set(HIDDEN) if hidden in data]


def by_environment(folder):
    return {"OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": SECRET,
            "OSS_SESSION_TOKEN": TOKEN}, {}


def private(path, text):
    path.touch(0o600)
    path.write_text(text)
    return path


def by_configuration(folder):
    path = private(folder / "conf", f"[default]\naccess_key_id = {KEY_ID}\n"
                   f"access_key_secret = {SECRET}\nsecurity_token = {TOKEN}\n")
    return {}, {"config": path}


def by_passwd_file(folder):
    return {}, {"passwd_file": private(folder / "passwd", f"{KEY_ID}:{SECRET}:{TOKEN}\n")}


@pytest.fixture(params=[by_environment, by_configuration, by_passwd_file],
                ids=["environment", "configuration", "passwd_file"])
def keys(request, folder):
    """(environment, options)"""
    return request.param(folder)


@pytest.fixture
def sts(make_server):
    return make_server(arguments=["--sts", f"{KEY_ID}:{SECRET}:{TOKEN}"])


def arguments_of(group):
    """What anybody may read in /proc of the processes of a group."""
    found = b""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(path.name)) == group:
                found += (path / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def files_with_secrets(top, but_not):
    found = []
    for path in top.rglob("*"):
        if path.is_file() and not path.is_symlink() and path not in but_not:
            found += told(path, path.read_bytes())
    return found


def words_of(mount, *words):
    """What a command says, to stdout and to stderr."""
    done = mount.run(*words, check=False)
    return (done.stdout + done.stderr).encode()


def test_secrets_of_a_mount_are_nowhere(sts, make_mount, folder, keys):
    env, options = keys
    mount = make_mount(server=sts, part_size="100K", log="debug", **options)
    mount.allow_errors(".*")
    mount.env = {"OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": "", **env}
    mount.start()
    found = told("the arguments", arguments_of(mount.process.pid))
    (mount.path / "small").write_bytes(b"small")
    (mount.path / "big").write_bytes(b"b" * (3 * PART))
    mount.sync()
    assert (mount.path / "big").stat().st_size == 3 * PART
    os.rename(mount.path / "big", mount.path / "other")
    mount.sync()

    # What goes wrong is told at length: also a token that ended, and requests that are cut.
    sts.fault("UploadPart", {"type": "cut-after-body"}, nth=1)
    sts.fault("PutObject", {"type": "expire-token"}, nth=1)
    (mount.path / "refused").write_bytes(b"refused")
    (mount.path / "cut").write_bytes(b"c" * (3 * PART))
    wait_until("the file is parked", lambda: mount.status()["failed"])
    for words in (["status", mount.path], ["status", mount.path, "--json"],
                  ["spool", "list", "-o", f"spool={mount.spool}"],
                  ["sync", mount.path, "--timeout", "1s"]):
        found += told(" ".join(map(str, words)), words_of(mount, *words))
    found += told("the control file's answer", str(mount.status()).encode())
    mount.kill9()
    assert "debug oss:" in mount.log(), "there is no log to look into"
    read_privately = {folder / "conf", folder / "passwd"}
    found += files_with_secrets(mount.folder, read_privately)
    assert found == []
    assert stat.S_IMODE(mount.spool.stat().st_mode) & 0o077 == 0


def test_secrets_of_put_are_nowhere(build, sts, folder, keys):
    env, options = keys
    put = Put(build, sts, folder)
    put.env = {"OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": "", **env}
    source = folder / "source"
    source.write_bytes(b"s" * (3 * PART))
    chosen = ",".join(f"{name}={value}" for name, value in {"log": "debug", **options}.items())
    command = ["-p", "100K", "-o", chosen, source, "oss://bucket/key"]
    sts.fault("UploadPart", {"type": "stall"}, part=2)
    process = put.start(*command)
    wait_until("the part is held", lambda: any(rule["acted"] for rule in sts.fault_state()))
    found = told("the arguments", Path(f"/proc/{process.pid}/cmdline").read_bytes())
    found += told("the checkpoint", next(folder.glob("source*ckpt")).read_bytes())
    process.kill()
    found += told("the interrupted put's words", "".join(process.communicate()).encode())
    sts.clear_faults()
    sts.fault("UploadPart", {"type": "expire-token"}, nth=1)
    done = put.run(*command)
    found += told("put's words", (done.stdout + done.stderr).encode())
    assert "debug oss:" in done.stderr, "there is no log to look into"
    assert found == []


@pytest.fixture
def cores_allowed():
    before = resource.getrlimit(resource.RLIMIT_CORE)
    most = resource.RLIM_INFINITY if os.geteuid() == 0 else before[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most if os.geteuid() == 0 else before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def assert_leaves_no_core(process):
    """The limit is one that a core_pattern with a pipe obeys, too: that it is 0, it does not."""
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +1 +1 ", limits, re.MULTILINE), limits
    os.kill(process.pid, signal.SIGABRT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -os.WTERMSIG(status)
    assert process.returncode == -signal.SIGABRT
    assert not os.WCOREDUMP(status)


def test_a_mount_leaves_no_core(cores_allowed, mount):
    (mount.path / "file").write_bytes(b"data")
    mount.sync()
    mount.killed = True
    assert_leaves_no_core(mount.process)
    mount.detach()
    assert list(mount.cwd.glob("core*")) == []


def test_put_leaves_no_core(cores_allowed, build, server, folder):
    put = Put(build, server, folder)
    source = folder / "source"
    source.write_bytes(b"s" * (3 * PART))
    server.fault("UploadPart", {"type": "stall"}, part=2)
    process = put.start("-p", "100K", source, "oss://bucket/key", stdout=None, stderr=None)
    wait_until("the part is held", lambda: any(rule["acted"] for rule in server.fault_state()))
    assert_leaves_no_core(process)
    assert list(folder.glob("core*")) == []
