"""What cannot be mounted says why, in one sentence, and nothing is mounted."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from ossup_testlib import wait_until
from ossup_testlib.server import KEY_ID, SECRET


class Attempt:
    """A mount in the background, as a user types it."""

    def __init__(self, build, folder, server):
        self.build, self.folder, self.server = build, folder, server
        self.path = folder / "mnt"
        self.path.mkdir()
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("OSS_", "ALIBABA_"))}
        self.clean = {**inherited, "HOME": str(folder), **build.sanitizer_env()}
        self.env = {"OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": SECRET}
        self.options = {"endpoint": server.endpoint, "region": "cn-hangzhou",
                        "spool": str(folder / "spool"), "spool_reserve": "0"}

    def run(self, bucket="bucket", path=None, **options):
        chosen = {**self.options, **options}
        text = ",".join(f"{n}={v}" for n, v in chosen.items() if v is not None)
        return subprocess.run(
            [str(self.build.program), bucket, str(path or self.path), "-o", text],
            env={**self.clean, **self.env}, cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False)

    def ask(self, *words):
        """Another command, given elsewhere than the mount was."""
        return subprocess.run(
            [str(self.build.program), *map(str, words)], env=self.clean, cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    def refused(self, *words, **arguments):
        done = self.run(**arguments)
        assert done.returncode != 0
        assert done.stdout == ""
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        for word in words:
            assert word in lines[0], lines[0]
        assert SECRET not in lines[0]
        assert not os.path.ismount(self.path)

    def umount(self):
        """Unmounts and waits for the daemon's end, when its sanitizer has had its say."""
        try:
            status = self.ask("status", self.path, "--json").stdout
        finally:
            subprocess.run(["fusermount3", "-u", "-z", self.path], check=False)
        if status:  # else there never was one
            wait_until("the daemon ends", lambda: has_ended(json.loads(status)["pid"]))


def has_ended(pid):
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def attempt(build, folder, server):
    attempt = Attempt(build, folder, server)
    yield attempt
    if os.path.ismount(attempt.path):  # meant, or what a failed test shows
        attempt.umount()


def test_bucket_that_does_not_exist(attempt):
    attempt.refused("no-such-bucket", "does not exist", bucket="no-such-bucket")


def test_bucket_name_that_cannot_be(attempt):
    attempt.refused("Not_A_Bucket", "3 to 63", bucket="Not_A_Bucket")


def test_wrong_secret(attempt):
    attempt.env["OSS_ACCESS_KEY_SECRET"] = "wrong"
    attempt.refused("secret", "OSS_ACCESS_KEY_SECRET")


def test_wrong_region(attempt):
    attempt.refused("signing region", "set region=", region="cn-beijing")


def test_key_that_may_not_list(attempt):
    attempt.server.fault("ListObjectsV2", {"type": "status", "status": 403, "code": "AccessDenied"})
    attempt.refused("AccessDenied", "grant it", "OSS_ACCESS_KEY_ID")


def test_unknown_key_id(attempt):
    attempt.env["OSS_ACCESS_KEY_ID"] = "LTAI-unknown"
    attempt.refused("access key id", "OSS_ACCESS_KEY_ID")


def test_no_keys_at_all(attempt):
    attempt.env.clear()
    attempt.refused("OSS_ACCESS_KEY_ID")


def test_nobody_listens(attempt):
    with socket.socket() as deaf:  # bound, so that nobody else listens there meanwhile
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        attempt.refused("cannot reach", f"127.0.0.1:{port}", endpoint=f"http://127.0.0.1:{port}")


def test_unknown_host(attempt):
    attempt.refused("no-such-host.invalid", "endpoint",
                    endpoint="http://no-such-host.invalid", addressing="path")


@pytest.mark.parametrize("endpoint", ["htp://127.0.0.1", "127.0.0.1:port", "a b", "http://"])
def test_endpoint_with_a_typo(attempt, endpoint):
    attempt.refused("endpoint", endpoint=endpoint)


def test_cacert_that_holds_no_certificate(attempt):
    file = attempt.folder / "no.pem"
    file.write_text("nothing")
    attempt.refused(f"cacert={file}", endpoint="https" + attempt.server.endpoint[4:],
                    cacert=str(file))


def test_region_alone_is_an_endpoint(attempt):
    attempt.env["https_proxy"] = "http://127.0.0.1:1"  # asks no name service
    attempt.refused("https://oss-xx-nowhere.aliyuncs.com", endpoint=None, region="xx-nowhere")


def test_mountpoint_that_is_missing(attempt):
    attempt.refused("does not exist", "mkdir", path=attempt.folder / "missing")


def test_word_that_is_no_command(attempt):
    done = attempt.ask("help")
    assert done.returncode == 1 and "--help lists the commands" in done.stderr


def test_mountpoint_that_is_a_file(attempt):
    file = attempt.folder / "file"
    file.write_text("")
    attempt.refused("not a directory", path=file)


def test_mountpoint_that_is_busy(attempt, mount):
    attempt.refused("mounted", path=mount.path)


def test_spool_that_cannot_be_made(attempt):
    attempt.refused("spool", "/proc/nowhere", spool="/proc/nowhere")


def test_spool_that_is_a_file(attempt):
    file = attempt.folder / "file"
    file.write_text("")
    attempt.refused("spool", str(file), spool=str(file))


@pytest.mark.parametrize("option", ["spool", "log_file", "passwd_file", "cacert", "config"])
def test_own_file_in_the_mountpoint(attempt, option):
    (attempt.folder / "link").symlink_to(attempt.path)
    (attempt.path / "there").write_text("")
    (attempt.path / "there").chmod(0o600)
    for path in (attempt.path / "there", attempt.path / "not/yet", attempt.folder / "link/there"):
        if path.exists() or option in ("spool", "log_file"):
            attempt.refused(option, str(path), str(attempt.path), "outside", **{option: str(path)})


def test_spool_that_another_daemon_holds(attempt, mount):
    attempt.refused("spool", str(mount.process.pid), spool=str(mount.spool))


@pytest.mark.parametrize("size", ["99K", "6G", "8Q", "", "-1"])
def test_part_size_out_of_range(attempt, size):
    attempt.refused("part_size", part_size=size)


def test_option_with_a_typo(attempt):
    attempt.refused("part_sise", "part_size", part_sise="8M")


def test_secret_on_the_command_line(attempt):
    attempt.refused("command line", access_key_secret="hush")


def test_configuration_file_that_others_may_read(attempt):
    conf = attempt.folder / "conf"
    conf.write_text("[default]\naccess_key_id=a\naccess_key_secret=b\n")
    conf.chmod(0o644)
    attempt.refused(str(conf), "chmod 600", config=str(conf))


def test_configuration_file_mounts(attempt, folder):
    conf = folder / "conf"
    conf.write_text(
        f"[default]\nregion = cn-hangzhou\nendpoint = http://127.0.0.1:1\n"
        f"[{attempt.path}]\nbucket = bucket\nendpoint = {attempt.server.endpoint}\n"
        f"access_key_id = {KEY_ID}\naccess_key_secret = {SECRET}\nspool_reserve = 0\n"
        f"spool = {folder}/spool\n")
    conf.chmod(0o600)
    attempt.env.clear()
    attempt.options = {"config": str(conf)}
    done = attempt.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.ismount(attempt.path)
    assert os.listdir(attempt.path) == []


def test_paths_are_those_of_where_the_command_was_given(attempt, folder):
    """The daemon goes to the root directory, and status, sync and resume are given anywhere."""
    passwd = folder / "passwd"
    passwd.write_text(f"{KEY_ID}:{SECRET}\n")
    passwd.chmod(0o600)
    attempt.env.clear()
    attempt.options.update(spool="spool", passwd_file="~/passwd", log_file="log")  # HOME is folder
    done = attempt.run()
    assert (done.returncode, done.stderr) == (0, "")
    (attempt.path / "f").write_bytes(b"x")
    for words in [("sync", attempt.path), ("spool", "resume", attempt.path)]:
        done = attempt.ask(*words)
        assert (done.returncode, done.stderr) == (0, "")
    status = json.loads(attempt.ask("status", attempt.path, "--json").stdout)
    assert status["spool"]["dir"].startswith(f"{folder}/spool/")
    assert status["credentials"]["failures"] == 0
    assert (folder / "log").is_file()


def test_old_ossfs_line_mounts(attempt, folder):
    passwd = folder / "passwd"
    passwd.write_text(f"bucket:{KEY_ID}:{SECRET}\n")
    passwd.chmod(0o640)
    attempt.env.clear()
    attempt.options = {
        "url": attempt.server.endpoint, "passwd_file": str(passwd), "multipart_size": "10",
        "parallel_count": "5", "use_cache": str(folder / "spool"), "ensure_diskfree": "0",
        "max_stat_cache_size": "1000", "sigv1": None}
    done = attempt.run()
    assert (done.returncode, done.stderr) == (0, "")
    (attempt.path / "f").write_bytes(b"as before")
