"""cache_size: what was read is read again from the disk, is never stale or torn, and keeps its bounds."""

import contextlib
import os
import random
import subprocess

import pytest

from ossup_testlib import wait_until

KIB, MIB = 1 << 10, 1 << 20


def content(size, seed=0):
    return random.Random(seed).randbytes(size)


def gets(server):
    return server.requests("GetObject")


def cache_folders(mount):
    return list(mount.spool.glob("*/cache"))


def bytes_on_disk(mount):
    total = 0
    for folder in cache_folders(mount):
        for file in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # it has just been evicted
                total += file.stat().st_blocks * 512
    return total


def wait_kept(mount, size):
    """Who reads does not wait until it is kept, too."""
    wait_until(f"{size} bytes are kept", lambda: mount.status()["cache"]["used"] >= size)


def forget_pages(path):
    """The kernel's copy of the file's bytes goes."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_until_kept(server, paths, read):
    """What comes while somebody waits for other bytes is not kept; the next reading gets that."""
    def costs_no_get():
        for path in paths:
            forget_pages(path)
        server.clear_log()
        read()
        return gets(server) == []

    wait_until("all that is read is kept", costs_no_get)


def test_second_read_costs_no_get(make_mount, server, bucket):
    data = content(64 * MIB + 77)
    bucket.put("file", data)
    mount = make_mount(cache_size="1G", attr_timeout="10m").start()

    def read_all():
        assert (mount.path / "file").read_bytes() == data

    read_until_kept(server, [mount.path / "file"], read_all)
    wait_kept(mount, len(data))
    mount.remount()
    assert (mount.path / "file").read_bytes() == data
    with open(mount.path / "file", "rb") as file:
        file.seek(50 * MIB + 5)
        assert file.read(1000) == data[50 * MIB + 5 :][:1000]
    assert gets(server) == []
    told = mount.status()["cache"]
    assert told["limit"] == 1 << 30
    assert told["hits"] >= 64 * 8
    assert told["misses"] == 0
    assert "cache 64" in mount.run("status", mount.path).stdout
    for file in cache_folders(mount)[0].iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_small_and_random_reads_are_kept(make_mount, server, bucket):
    data = content(40 * MIB)
    small = {f"d/{number}": content(number * 1000 + 1, number) for number in range(20)}
    bucket.put("big", data)
    for key, body in small.items():
        bucket.put(key, body)
    mount = make_mount(cache_size="1G").start()
    source = random.Random(5)
    places = [source.randrange(10 * MIB, 39 * MIB) for _ in range(20)]

    def read_all():
        for key, body in small.items():
            assert (mount.path / key).read_bytes() == body
        with open(mount.path / "big", "rb", 0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for place in places:
                assert os.pread(file.fileno(), 3000, place) == data[place : place + 3000]

    read_until_kept(server, [mount.path / key for key in (*small, "big")], read_all)
    mount.remount()
    server.clear_log()
    read_all()
    assert gets(server) == []


def test_changed_object_is_not_stale(make_mount, server, bucket):
    mount = make_mount(cache_size="1G").start()
    for version in range(5):
        data = content(3 * MIB + 5, version)  # of the same size each time
        bucket.put("file", data)
        forget_pages(mount.path / "file")
        assert (mount.path / "file").read_bytes() == data
    other = bytes(data[:MIB]) + b"changed here" + data[MIB + 12 :]
    with open(mount.path / "file", "r+b") as file:
        file.seek(MIB)
        file.write(b"changed here")
    assert (mount.path / "file").read_bytes() == other
    mount.sync()
    forget_pages(mount.path / "file")
    assert (mount.path / "file").read_bytes() == other
    assert bucket.get("file") == other


def test_bound_holds(make_mount, bucket):
    mount = make_mount(cache_size="16M").start()
    for number in range(8):
        data = content(6 * MIB, number)
        bucket.put(f"f{number}", data)
        assert (mount.path / f"f{number}").read_bytes() == data
        assert bytes_on_disk(mount) <= 16 * MIB
    big = content(50 * MIB, 99)
    bucket.put("big", big)
    assert (mount.path / "big").read_bytes() == big
    assert bytes_on_disk(mount) <= 16 * MIB
    assert mount.status()["cache"]["used"] <= 16 * MIB
    mount.umount()
    mount.options["cache_size"] = "4M"
    mount.start()
    assert bytes_on_disk(mount) <= 4 * MIB
    mount.umount()
    del mount.options["cache_size"]
    mount.start()
    assert cache_folders(mount) == []


def test_killed_while_it_reads(make_mount, server, bucket):
    data = content(48 * MIB)
    bucket.put("file", data)
    mount = make_mount(cache_size="1G").start()
    for size in (5, 17, 40):
        reader = subprocess.Popen(["cat", mount.path / "file"], stdout=subprocess.PIPE)
        assert reader.stdout.read(size * MIB) == data[: size * MIB]
        mount.kill9()
        reader.stdout.close()
        reader.wait()
        mount.start()
    server.clear_log()
    assert (mount.path / "file").read_bytes() == data
    assert sum(entry["bytes_out"] for entry in gets(server)) < len(data)


def test_damaged_files_are_not_served(make_mount, bucket):
    data = content(8 * MIB)
    bucket.put("file", data)
    mount = make_mount(cache_size="1G").start()
    assert (mount.path / "file").read_bytes() == data
    mount.umount()
    for file in cache_folders(mount)[0].iterdir():
        with open(file, "r+b") as damaged:
            damaged.seek(5 * MIB)
            damaged.write(b"not what was there")
    mount.start()
    assert (mount.path / "file").read_bytes() == data
    assert mount.status()["cache"]["damaged"] == 1
    forget_pages(mount.path / "file")
    assert (mount.path / "file").read_bytes() == data


def test_no_cache_no_file(make_mount, bucket):
    bucket.put("file", content(MIB))
    mount = make_mount().start()
    (mount.path / "file").read_bytes()
    assert cache_folders(mount) == []
    assert mount.status()["cache"]["limit"] == 0


def test_writers_come_first(make_mount, server, bucket):
    """What was read makes room at once: nobody waits for the network."""
    data = content(30 * MIB)
    bucket.put("read", data)
    mount = make_mount(cache_size="1G", spool_size="32M", settle="1h", drain="no").start()
    assert (mount.path / "read").read_bytes() == data
    wait_kept(mount, 16 * MIB)
    server.fault("PutObject", {"type": "status", "status": 503, "code": "ServiceUnavailable"})
    server.fault("InitiateMultipartUpload",
                 {"type": "status", "status": 503, "code": "ServiceUnavailable"})
    (mount.path / "written").write_bytes(data)
    told = mount.status()
    assert told["spool"]["used"] + told["cache"]["used"] <= 32 * MIB
    assert (mount.path / "read").read_bytes() == data
    assert bytes_on_disk(mount) <= 3 * MIB


@pytest.fixture
def small_disk(folder):
    path = folder / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "spool", path],
                          check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip("only root may mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_full_disk_fails_no_read_and_no_write(small_disk, make_mount, bucket):
    data = content(60 * MIB)
    bucket.put("file", data)
    mount = make_mount(spool=small_disk, cache_size="1G").start()
    assert (mount.path / "file").read_bytes() == data
    (mount.path / "new").write_bytes(data[: 50 * MIB])  # there is room but for what was read
    mount.sync()
    assert bucket.get("new") == data[: 50 * MIB]
    with open(small_disk / "filler", "wb", 0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    forget_pages(mount.path / "file")
    assert (mount.path / "file").read_bytes() == data


def test_unusable_cache_is_told_and_done_without(make_mount, bucket):
    data = content(MIB)
    bucket.put("file", data)
    mount = make_mount(cache_size="1G").start()
    mount.umount()
    folder = cache_folders(mount)[0]
    folder.rmdir()
    folder.write_text("not a directory")
    mount.start()
    assert (mount.path / "file").read_bytes() == data
    assert "no cache of reads" in mount.log()


def test_dead_network_does_not_block_what_is_kept(make_mount, server, bucket):
    data = content(5 * MIB)
    bucket.put("file", data)
    mount = make_mount(cache_size="1G", attr_timeout="10m").start()
    assert (mount.path / "file").read_bytes() == data
    wait_kept(mount, len(data))
    forget_pages(mount.path / "file")
    server.kill()
    assert (mount.path / "file").read_bytes() == data
    server.start()


def test_use_cache_of_ossfs_is_a_cache(make_mount, folder):
    mount = make_mount(spool=None, use_cache=str(folder / "there"), ensure_diskfree="0")
    mount.spool = folder / "there"
    mount.options["spool"] = None
    mount.start()
    assert mount.status()["cache"]["limit"] == 1 << 50
    mount.umount()
    mount.options["cache_size"] = "1M"
    mount.start()
    assert mount.status()["cache"]["limit"] == MIB
