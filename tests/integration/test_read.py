"""Reading: what it costs in requests, and one version of an object at a time (design 5, 7)."""

import concurrent.futures
import errno
import os
import random
import subprocess

import pytest

KIB, MIB = 1 << 10, 1 << 20
# GETs may also be larger than what was asked for by the kernel's pages.
PAGE = 4 * KIB


def content(size, seed=0):
    return random.Random(seed).randbytes(size)


def gets(server, key="file"):
    return server.requests("GetObject", key=key)


@pytest.mark.parametrize("size", [1, 4096, 4 * MIB, 4 * MIB + 1, 30 * MIB + 7, 64 * MIB])
def test_sequential_read_keeps_the_budget(make_mount, server, bucket, size):
    data = content(size)
    bucket.put("file", data)
    mount = make_mount(attr_timeout="10m").start()
    server.clear_log()
    assert (mount.path / "file").read_bytes() == data
    assert len(server.log()) <= size // (4 * MIB) + 4  # those that look it up included
    if size <= 4 * MIB:
        assert len(gets(server)) == 1


@pytest.mark.parametrize("program", (["cat"], ["dd", "bs=4k", "status=none"], ["tac", "-s", "\n"]))
def test_programs_read_the_right_bytes(make_mount, bucket, program):
    data = b"".join(b"line %d\n" % number for number in range(800_000))
    bucket.put("file", data)
    mount = make_mount().start()
    with open(mount.path / "file", "rb") as file:
        output = subprocess.run(program, stdin=file, stdout=subprocess.PIPE, check=True).stdout
    if program[0] == "tac":
        output = b"".join(reversed(output.splitlines(keepends=True)))
    assert output == data


def test_read_memory_bounds_read_ahead_and_not_correctness(make_mount, server, bucket):
    data = content(40 * MIB)
    bucket.put("file", data)
    mount = make_mount(read_memory="8M").start()
    server.clear_log()
    assert (mount.path / "file").read_bytes() == data
    assert len(gets(server)) <= 40 // 4 + 4


def test_random_reads_get_what_they_ask_for(make_mount, server, bucket):
    data = content(64 * MIB)
    bucket.put("file", data)
    mount = make_mount().start()
    source = random.Random(3)
    fd = os.open(mount.path / "file", os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        server.clear_log()
        asked = 0
        for _ in range(40):
            at, size = source.randrange(8 * MIB, 60 * MIB), source.randint(1, 100 * KIB)
            assert os.pread(fd, size, at) == data[at : at + size]
            asked += size + 2 * PAGE
    finally:
        os.close(fd)
    assert sum(entry["bytes_out"] for entry in gets(server)) <= asked


def test_first_bytes_do_not_cost_the_file(make_mount, server, bucket):
    data = content(64 * MIB)
    bucket.put("file", data)
    mount = make_mount().start()
    server.clear_log()
    fd = os.open(mount.path / "file", os.O_RDONLY)
    assert os.read(fd, 1000) == data[:1000]
    os.close(fd)
    assert len(gets(server)) <= 1
    assert sum(entry["bytes_out"] for entry in gets(server)) <= 5 * MIB


def test_unchanged_file_is_read_once(make_mount, server, bucket):
    data = content(6 * MIB)
    bucket.put("file", data)
    mount = make_mount().start()
    assert (mount.path / "file").read_bytes() == data
    server.clear_log()
    for _ in range(3):
        assert (mount.path / "file").read_bytes() == data
    assert gets(server) == []


def test_parallel_readers_of_one_file(make_mount, server, bucket):
    data = content(32 * MIB)
    bucket.put("file", data)
    mount = make_mount().start()
    piece = 8 * MIB

    def read(number):
        with open(mount.path / "file", "rb") as file:
            file.seek(number * piece)
            return file.read(piece) == data[number * piece : (number + 1) * piece]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))


def test_many_files_at_once_with_little_memory(make_mount, server, bucket):
    data = content(6 * MIB)
    for number in range(12):
        bucket.put(f"f{number}", data)
    mount = make_mount(read_memory="16M").start()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        read = pool.map(lambda n: (mount.path / f"f{n}").read_bytes() == data, range(12))
        assert all(read)


def test_object_changed_under_an_open_handle_is_stale(make_mount, server, bucket):
    old, new = content(32 * MIB, 1), content(32 * MIB, 2)
    bucket.put("file", old)
    mount = make_mount().start()
    fd = os.open(mount.path / "file", os.O_RDONLY)
    try:
        assert os.pread(fd, 1000, 0) == old[:1000]
        bucket.put("file", new)
        for _ in range(2):
            with pytest.raises(OSError) as caught:
                os.pread(fd, 1000, 24 * MIB)
            assert caught.value.errno == errno.ESTALE
    finally:
        os.close(fd)
    assert (mount.path / "file").read_bytes() == new


def test_object_deleted_under_an_open_handle_is_stale(make_mount, bucket):
    old = content(32 * MIB)
    bucket.put("file", old)
    mount = make_mount().start()
    fd = os.open(mount.path / "file", os.O_RDONLY)
    try:
        assert os.pread(fd, 1000, 0) == old[:1000]
        bucket.delete("file")
        with pytest.raises(OSError) as caught:
            os.pread(fd, 1000, 24 * MIB)
        assert caught.value.errno == errno.ESTALE
    finally:
        os.close(fd)
    assert not (mount.path / "file").exists()


FAULTS = [
    {"type": "status", "status": 503, "code": "SlowDown"},
    {"type": "status", "status": 500, "code": "InternalError"},
    {"type": "cut-after-bytes", "bytes": 100_000},
    {"type": "cut-before-body"},
    {"type": "ignore-range"},
    {"type": "bad-content-length"},
]


@pytest.mark.parametrize("action", FAULTS, ids=lambda action: action["type"])
def test_broken_replies_are_repeated_and_never_shown(make_mount, server, bucket, action):
    data = content(20 * MIB)
    bucket.put("file", data)
    mount = make_mount().start()
    server.fault("GetObject", action, every=3)
    assert (mount.path / "file").read_bytes() == data


def test_interrupted_reader_ends_and_others_go_on(make_mount, server, bucket):
    data = content(16 * MIB)
    bucket.put("file", data)
    bucket.put("other", b"text")
    mount = make_mount().start()
    server.fault("GetObject", {"type": "stall", "bytes": 1, "until": "cleared"}, key="file")
    cat = subprocess.Popen(["cat", str(mount.path / "file")], stdout=subprocess.DEVNULL)
    try:
        assert (mount.path / "other").read_bytes() == b"text"  # a slow GET blocks nobody
        cat.terminate()
        cat.wait(30)
    finally:
        cat.kill()
        server.clear_faults()
    assert (mount.path / "file").read_bytes() == data
