"""A spool that is full: writers hear of it, no closed file is lost, and uploads make room again."""

import contextlib
import errno
import hashlib
import mmap
import os
import random
import signal
import subprocess
import threading

import pytest

from ossup_testlib import wait_until

MIB = 1 << 20
SIZE = 64


@pytest.fixture
def small_disk(folder):
    """A disk of 64 MiB for the spool."""
    path = folder / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}M", "spool", path],
                          check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip("only root may mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(folder, size=8 * MIB, most=100):
    """Files until there is no room: those that were closed, and the error of the last one."""
    closed = {}
    for number in range(most):
        data = os.urandom(size)
        try:
            with open(folder / f"f{number}", "wb", 0) as file:
                at = 0
                while at < size:
                    at += file.write(data[at : at + MIB])
        except OSError as error:
            return closed, error.errno
        closed[f"f{number}"] = hashlib.sha256(data).hexdigest()
    return closed, 0


def digests(bucket, names):
    return {name: hashlib.sha256(bucket.get(name) or b"").hexdigest() for name in names}


def test_full_disk_loses_no_closed_file(small_disk, server, bucket, make_mount):
    mount = make_mount(spool=small_disk, settle="1h").start()
    mount.allow_errors(".*")
    server.fault("*", {"type": "status", "status": 503, "code": "ServiceUnavailable"}, key="f*")
    closed, number = fill(mount.path)
    assert number == errno.ENOSPC
    assert len(closed) >= 5
    for name, digest in closed.items():
        assert hashlib.sha256((mount.path / name).read_bytes()).hexdigest() == digest
    mount.kill9()
    server.clear_faults()
    mount.start()
    mount.sync()
    assert digests(bucket, closed) == closed
    assert sorted(bucket.keys()) == sorted(closed)
    (mount.path / "after").write_bytes(b"x" * MIB)
    mount.sync()
    assert bucket.get("after") == b"x" * MIB


def test_full_disk_takes_an_unlink(small_disk, server, make_mount):
    mount = make_mount(spool=small_disk, settle="1h", drain="no").start()
    mount.allow_errors(".*")
    server.fault("*", {"type": "status", "status": 503, "code": "ServiceUnavailable"}, key="f*")
    closed, _ = fill(mount.path)
    (mount.path / f"f{len(closed)}").unlink()


def test_disk_that_is_full_to_the_last_byte(small_disk, bucket, make_mount):
    """Not even a line of a journal fits: writers are told, and the daemon lives."""
    mount = make_mount(spool=small_disk, settle="1h").start()
    mount.allow_errors(".*")
    (mount.path / "before").write_bytes(b"closed")
    with open(small_disk / "filler", "wb", 0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    with pytest.raises(OSError) as caught:
        (mount.path / "more").write_bytes(bytes(MIB))
    assert caught.value.errno == errno.ENOSPC
    assert (mount.path / "before").read_bytes() == b"closed"
    (small_disk / "filler").unlink()
    (mount.path / "more").write_bytes(b"now it fits")
    mount.sync()
    assert bucket.get("before") == b"closed"
    assert bucket.get("more") == b"now it fits"


def test_writers_wait_for_uploads(bucket, make_mount):
    mount = make_mount(spool_size="32M", settle="0").start()
    closed, number = fill(mount.path, most=20)
    assert number == 0
    mount.sync(timeout=100)
    assert digests(bucket, closed) == closed


def test_reserve_is_left_free(small_disk, server, bucket, make_mount):
    mount = make_mount(spool=small_disk, spool_reserve="32M", settle="1h").start()
    mount.allow_errors(".*")
    server.fault("*", {"type": "status", "status": 403, "code": "AccessDenied"}, key="f*")
    closed, number = fill(mount.path)
    assert number == errno.ENOSPC
    free = os.statvfs(small_disk)
    assert free.f_bavail * free.f_frsize >= 31 * MIB
    (mount.path / f"f{len(closed)}").unlink()
    server.clear_faults()
    os.kill(mount.process.pid, signal.SIGHUP)
    wait_until("they are tried again", lambda: mount.status()["pending"]["failed"] == 0)
    mount.sync()
    assert digests(bucket, closed) == closed
    wait_until("there is room again",
               lambda: os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize > 60 * MIB)


# -- larger than the spool --


class Measure:
    """How much the files of a spool take on disk, at most, while something goes on."""

    def __init__(self, spool):
        self.spool, self.most, self.ended = spool, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.ended.wait(0.01):
            self.most = max(self.most, self.now())

    def now(self):
        total = 0
        for folder, _, files in os.walk(self.spool):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    total += os.stat(os.path.join(folder, name)).st_blocks * 512
        return total

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


SMALL = {"spool_size": "12M", "part_size": "1M", "settle": "10ms"}
LIMIT_BYTES = 12 * MIB + 3 * MIB  # and a part for each thread


def pass_through(mount, bucket, folder, size, limit):
    source = folder / "source"
    with open(source, "wb") as file:
        subprocess.run(["head", "-c", str(size), "/dev/urandom"], check=True, stdout=file)
    with Measure(mount.spool) as measure:
        subprocess.run(["cp", source, mount.path / "big"], check=True)
        mount.sync(timeout=300)
    assert measure.most <= limit, f"{measure.most / MIB:.1f} MiB"
    with open(source, "rb") as file:
        assert hashlib.sha256(bucket.get("big")).digest() == hashlib.file_digest(
            file, "sha256").digest()
    assert bucket.uploads() == []
    source.unlink()


def test_file_larger_than_the_spool(server, bucket, make_mount, folder):
    mount = make_mount(**SMALL).start()
    server.clear_log()
    pass_through(mount, bucket, folder, 64 * MIB, LIMIT_BYTES)
    counts = server.counts()
    assert counts["UploadPart"] == 64
    assert counts["InitiateMultipartUpload"] == 1
    wait_until("the spool is empty", lambda: Measure(mount.spool).now() < MIB)


@pytest.mark.limit(600)
def test_long_gigabyte_through_64_mebibytes(build, bucket, make_mount, folder):
    mount = make_mount(spool_size="64M").start()
    pass_through(mount, bucket, folder, build.smaller(1024, 256) * MIB, (64 + 3 * 8) * MIB)
    with Measure(mount.spool) as measure:
        closed, number = fill(mount.path, most=build.smaller(50, 25))
        mount.sync(timeout=300)
    assert number == 0
    assert measure.most <= (64 + 3 * 8) * MIB
    assert digests(bucket, closed) == closed


def test_many_files_through_a_small_spool(bucket, make_mount):
    mount = make_mount(**SMALL).start()
    with Measure(mount.spool) as measure:
        closed, number = fill(mount.path, size=2 * MIB, most=40)
        mount.sync(timeout=100)
    assert number == 0
    assert measure.most <= LIMIT_BYTES
    assert digests(bucket, closed) == closed


@pytest.mark.parametrize("option", ["close", "fsync"])
def test_larger_than_the_spool_when_it_is_waited_for(option, bucket, make_mount):
    """Also a child's copy of the descriptor is closed: its close waits while the file stays open."""
    mount = make_mount(**SMALL, **{option: "upload"}).start()
    words = ["head", "-c", str(20 * MIB), "/dev/zero"]
    with open(mount.path / "big", "wb", 0) as file:
        subprocess.run(words, check=True, stdout=file, timeout=100)
        os.fsync(file.fileno())
        assert bucket.get("big") == bytes(20 * MIB)
    assert bucket.get("big") == bytes(20 * MIB)
    assert bucket.uploads() == []


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def begin(path, data):
    """An open file, larger than the spool, with these bytes."""
    file = open(path, "wb", 0)  # noqa: SIM115 - it stays open on purpose
    for at in range(0, len(data), MIB):
        file.write(data[at : at + MIB])
    return file


def read_past_the_cache(path, size):
    """The kernel has what was just written: this asks the mount."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, size) as buffer:
            return buffer[: os.preadv(fd, [buffer], 0)]
    finally:
        os.close(fd)


def write_on(file, data):
    for at in range(0, len(data), MIB):
        file.write(data[at : at + MIB])


@pytest.mark.parametrize("how", ["fsync=upload", "fsync", "quiet", "another handle"])
def test_file_that_was_published_in_the_middle_grows_on(how, bucket, make_mount):
    """What the bucket has of an open file is let go, and the rest passes."""
    options = {"fsync=upload": {"fsync": "upload"}, "quiet": {"open_flush": "1s"},
               "another handle": {"close": "upload"}}.get(how, {})
    mount = make_mount(**SMALL, **options).start()
    data = noise(45 * MIB)
    with Measure(mount.spool) as measure, begin(mount.path / "big", data[: 9 * MIB]) as file:
        if "fsync" in how:
            os.fsync(file.fileno())
        if how == "another handle":
            os.close(os.dup(file.fileno()))
        wait_until("the first version is in the bucket", lambda: bucket.get("big"))
        write_on(file, data[9 * MIB : 25 * MIB])
        assert read_past_the_cache(mount.path / "big", MIB) == data[:MIB]
        write_on(file, data[25 * MIB :])
    mount.sync(timeout=100)
    assert bucket.get("big") == data
    assert (mount.path / "big").read_bytes() == data
    assert measure.most <= LIMIT_BYTES
    assert bucket.uploads() == []


@pytest.fixture
def old(bucket):
    """An object of 30 MiB."""
    data = noise(30 * MIB, seed=2)
    bucket.put("big", data)
    return data


def test_append_larger_than_the_spool(old, server, bucket, make_mount):
    mount = make_mount(**SMALL).start()
    data = noise(30 * MIB)
    server.clear_log()
    with Measure(mount.spool) as measure, open(mount.path / "big", "ab", 0) as file:
        write_on(file, data)
    mount.sync(timeout=100)
    assert bucket.get("big") == old + data
    assert measure.most <= LIMIT_BYTES
    counts = server.counts()
    assert (counts["UploadPartCopy"], counts["UploadPart"]) == (1, 30)
    assert counts["InitiateMultipartUpload"] == 1
    assert not counts.get("PutObject")


@pytest.mark.parametrize("size", [20 * MIB + 17, 30 * MIB, 40 * MIB])
def test_overwriting_in_order_what_is_larger_than_the_spool(size, old, bucket, make_mount):
    mount = make_mount(**SMALL).start()
    data = noise(size)
    with Measure(mount.spool) as measure, open(mount.path / "big", "r+b", 0) as file:
        write_on(file, data)
    mount.sync(timeout=100)
    assert bucket.get("big") == data + old[size:]
    assert measure.most <= LIMIT_BYTES
    assert bucket.uploads() == []


def test_before_what_was_let_go_nothing_can_be_changed(old, bucket, make_mount):
    """The parts after it would have other numbers."""
    mount = make_mount(**SMALL).start()
    mount.allow_errors(".*")
    file = open(mount.path / "big", "r+b", 0)  # noqa: SIM115 - closing it fails
    file.seek(0, os.SEEK_END)
    write_on(file, noise(30 * MIB))
    with pytest.raises(OSError) as caught:
        os.pwrite(file.fileno(), b"header", 0)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError):
        file.close()
    assert bucket.get("big") == old
    os.unlink(mount.path / "big")
    mount.sync()


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_kill_while_more_than_the_spool_holds_is_changed(mode, old, bucket, make_mount):
    mount = make_mount(**SMALL).start()
    file = open(mount.path / "big", mode, 0)  # noqa: SIM115 - it stays open on purpose
    write_on(file, noise(25 * MIB))
    mount.kill9()
    with contextlib.suppress(OSError):
        file.close()
    mount.start()
    mount.sync()
    wait_until("no upload is unfinished", lambda: bucket.uploads() == [])
    assert bucket.get("big") == old
    assert (mount.path / "big").read_bytes() == old


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_kill_after_the_close_of_a_change_larger_than_the_spool(mode, old, bucket, make_mount):
    mount = make_mount(**{**SMALL, "settle": "1h"}).start()
    data = noise(25 * MIB)
    with open(mount.path / "big", mode, 0) as file:
        write_on(file, data)
    mount.kill9()
    mount.options["settle"] = "10ms"
    mount.start()
    mount.sync()
    assert bucket.get("big") == (old + data if mode == "ab" else data + old[len(data):])
    assert bucket.uploads() == []


def test_kill_while_a_published_file_grows_beyond_the_spool(bucket, make_mount):
    mount = make_mount(**{**SMALL, "fsync": "upload"}).start()
    data = noise(40 * MIB)
    file = begin(mount.path / "big", data[: 9 * MIB])
    os.fsync(file.fileno())
    write_on(file, data[9 * MIB :])
    mount.kill9()
    with contextlib.suppress(OSError):
        file.close()
    mount.start()
    mount.sync()
    wait_until("no upload is unfinished", lambda: bucket.uploads() == [])
    assert bucket.get("big") == data[: 9 * MIB]
    assert (mount.path / "big").read_bytes() == data[: 9 * MIB]


def test_kill_after_clean_bytes_were_let_go(bucket, make_mount):
    """What was closed since lies in the spool, the rest in the object."""
    mount = make_mount(**{**SMALL, "fsync": "upload"}).start()
    data = noise(25 * MIB)
    file = begin(mount.path / "big", data[: 9 * MIB])
    os.fsync(file.fileno())
    write_on(file, data[9 * MIB : 18 * MIB])  # makes the first ones go
    mount.options["fsync"] = "spool"
    os.close(os.dup(file.fileno()))
    mount.kill9()
    with contextlib.suppress(OSError):
        file.close()
    mount.start()
    assert (mount.path / "big").read_bytes() == data[: 18 * MIB]
    mount.sync()
    assert bucket.get("big") == data[: 18 * MIB]


def test_kill_in_the_middle_of_what_is_larger_than_the_spool(bucket, make_mount):
    mount = make_mount(**SMALL).start()
    data = noise(30 * MIB)
    file = begin(mount.path / "big", data)
    mount.kill9()
    with contextlib.suppress(OSError):
        file.close()
    mount.start()
    mount.sync()
    wait_until("no upload is unfinished", lambda: bucket.uploads() == [])
    assert bucket.keys() == []
    assert Measure(mount.spool).now() < MIB  # a fragment is of no use
    with begin(mount.path / "big", data):
        pass
    mount.sync()
    assert bucket.get("big") == data


def test_kill_after_the_close_of_what_is_larger_than_the_spool(server, bucket, make_mount):
    mount = make_mount(**{**SMALL, "settle": "1h"}).start()
    data = noise(30 * MIB)
    with begin(mount.path / "big", data):
        pass
    mount.kill9()
    mount.options["settle"] = "10ms"
    mount.start()
    assert (mount.path / "big").read_bytes() == data
    mount.sync()
    assert bucket.get("big") == data
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert bucket.uploads() == []


def test_closed_file_that_was_released_is_read_from_the_bucket(bucket, make_mount):
    """The reader does not wait for the settle time."""
    mount = make_mount(**{**SMALL, "settle": "1h"}).start()
    data = noise(30 * MIB)
    with begin(mount.path / "big", data):
        pass
    assert read_past_the_cache(mount.path / "big", MIB) == data[:MIB]
    assert bucket.get("big") == data


def test_released_bytes_cannot_be_read_or_changed_before_the_close(bucket, make_mount):
    mount = make_mount(**SMALL).start()
    mount.allow_errors("larger than the spool")
    data = noise(30 * MIB)
    with begin(mount.path / "big", data) as file:
        with pytest.raises(OSError) as caught:
            read_past_the_cache(mount.path / "big", MIB)
        assert caught.value.errno == errno.EIO
        with pytest.raises(OSError) as caught:
            file.truncate(MIB // 2)
        assert caught.value.errno == errno.ENOSPC
        file.truncate(0)
        file.seek(0)
        file.write(b"all anew")
    mount.sync()
    assert bucket.get("big") == b"all anew"
    assert bucket.uploads() == []


def test_version_that_was_synced_outlives_its_truncation(bucket, make_mount):
    """The writer gives these bytes up, but until it closes the file a crash must find them."""
    mount = make_mount(**SMALL, open_flush="1h").start()
    data = noise(30 * MIB)
    file = begin(mount.path / "big", data)
    os.fsync(file.fileno())
    file.truncate(0)
    mount.kill9()
    with contextlib.suppress(OSError):
        file.close()
    mount.start()
    mount.sync()
    assert bucket.get("big") == data
    assert (mount.path / "big").read_bytes() == data
    assert bucket.uploads() == []


def test_rewriting_released_bytes_fails_the_file(bucket, make_mount):
    mount = make_mount(**SMALL).start()
    mount.allow_errors(".*")
    file = begin(mount.path / "big", noise(30 * MIB))
    with pytest.raises(OSError) as caught:
        os.pwrite(file.fileno(), b"header", 0)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError):
        file.close()
    assert "were sent and let go" in mount.log()
    os.unlink(mount.path / "big")
    mount.sync()
    assert bucket.keys() == []
    wait_until("no upload is unfinished", lambda: bucket.uploads() == [])


def test_temporary_name_larger_than_the_spool(bucket, make_mount):
    mount = make_mount(**SMALL).start()
    data = noise(30 * MIB)
    with begin(mount.path / ".big.Ab3xY9", data):
        pass
    os.rename(mount.path / ".big.Ab3xY9", mount.path / "big")
    mount.sync()
    assert bucket.get("big") == data
    assert bucket.keys() == ["big"]
    assert bucket.uploads() == []


def test_what_is_larger_than_the_spool_is_renamed_once_it_is_closed(bucket, make_mount):
    mount = make_mount(**SMALL).start()
    data = noise(30 * MIB)
    with begin(mount.path / "big", data):
        with pytest.raises(OSError) as caught:
            os.rename(mount.path / "big", mount.path / "other")
        assert caught.value.errno == errno.EBUSY
    os.rename(mount.path / "big", mount.path / "other")
    mount.sync()
    assert bucket.get("other") == data
    assert bucket.keys() == ["other"]


def test_upload_that_is_lost_with_released_bytes_is_told(server, bucket, make_mount):
    mount = make_mount(**{**SMALL, "settle": "1h"}).start()
    mount.allow_errors(".*")
    with begin(mount.path / "big", noise(30 * MIB)):
        pass
    mount.kill9()
    for upload in bucket.uploads():
        server.control("POST", "abort-upload", {"bucket": "bucket", "key": upload[0],
                                                "upload_id": upload[1]})
    mount.options["settle"] = "10ms"
    mount.start()
    wait_until("it is parked", lambda: mount.status()["pending"]["failed"] == 1)
    assert "write the file again" in mount.status()["failed"][0]["error"]
    assert bucket.keys() == []
    os.unlink(mount.path / "big")
    mount.sync()


def test_writer_that_waits_is_shown_and_can_be_interrupted(server, make_mount):
    mount = make_mount(**SMALL).start()
    mount.allow_errors(".*")
    server.fault("UploadPart", {"type": "status", "status": 503, "code": "ServiceUnavailable"})
    writer = subprocess.Popen(["dd", "if=/dev/zero", f"of={mount.path / 'big'}", "bs=1M",
                               "count=30"], stderr=subprocess.DEVNULL)
    wait_until("a writer waits", lambda: mount.status()["spool"]["writers_waiting"] == 1)
    assert writer.poll() is None
    writer.send_signal(signal.SIGINT)
    assert writer.wait(30) != 0
    server.clear_faults()
    os.unlink(mount.path / "big")
    mount.sync()
