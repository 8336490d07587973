"""The request budget (design 7), row by row, counted in the server's log."""

import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from ossup_testlib import wait_until

KIB, MIB = 1 << 10, 1 << 20
LOOKUPS = ("HeadObject", "ListObjects", "ListObjectsV2", "GetObjectMeta")
# Caches are cold because the mount is new, and stay trusted however slow the machine is.
TRUST = {"attr_timeout": "10m"}


def spent(server):
    """(lookups, the others by operation) since the log was cleared."""
    counts = server.counts()
    lookups = sum(counts.pop(name, 0) for name in LOOKUPS)
    return lookups, counts


def fetched(server):
    return sum(entry["bytes_out"] for entry in server.requests("GetObject"))


def run(*words):
    subprocess.run([str(word) for word in words], check=True)


@pytest.fixture
def source(folder):
    (folder / "source").mkdir()
    return folder / "source"


@pytest.fixture
def mount(make_mount):
    return make_mount(**TRUST).start()


@pytest.fixture
def parted(make_mount):
    """A mount where a file of 20 MiB has many parts."""
    return make_mount(part_size="1M", **TRUST).start()


def put_big(mount, bucket, server, size=20 * MIB):
    """A file that was uploaded by parts, with nothing cached of it; its bytes."""
    data = random.Random(5).randbytes(size)
    (mount.path / "big").write_bytes(data)
    mount.remount()
    assert bucket.get("big") == data
    server.clear_log()
    return bytearray(data)


def test_cp_of_a_new_small_file(mount, server, bucket, source):
    (source / "small").write_bytes(b"x" * 5000)
    server.clear_log()
    run("cp", source / "small", mount.path / "small")
    mount.sync()
    lookups, others = spent(server)
    assert others == {"PutObject": 1}
    assert lookups <= 1
    assert bucket.get("small") == b"x" * 5000


def test_cp_of_a_big_file(parted, server, bucket, source):
    data = random.Random(4).randbytes(20 * MIB + 1)
    (source / "big").write_bytes(data)
    server.clear_log()
    run("cp", source / "big", parted.path / "big")
    parted.sync()
    lookups, others = spent(server)
    assert others.pop("InitiateMultipartUpload") == 1
    assert others.pop("CompleteMultipartUpload") == 1
    assert others == {"UploadPart": 21}
    assert lookups <= 1
    assert bucket.get("big") == data


def test_one_byte_changed_in_a_big_file(parted, server, bucket):
    data = put_big(parted, bucket, server)
    with open(parted.path / "big", "r+b") as file:
        file.seek(10 * MIB + 17)
        file.write(b"!")
    data[10 * MIB + 17] = ord("!")
    parted.sync()
    lookups, others = spent(server)
    sent = sum(entry["bytes_in"] for entry in server.requests("UploadPart"))
    assert others.pop("InitiateMultipartUpload") == 1
    assert others.pop("CompleteMultipartUpload") == 1
    assert others.pop("UploadPart") == 1
    assert others.pop("UploadPartCopy") == 2  # before and after
    assert others.pop("GetObject", 0) <= 1  # the rest of the changed part
    assert others == {}
    assert lookups <= 2  # the name, and the check before Complete
    assert fetched(server) <= 200 * KIB
    assert sent <= MIB + 200 * KIB
    assert bucket.get("big") == data


def test_no_part_of_a_change_waits_for_another(parted, server, bucket):
    """Where copies take their time, two of them take it once."""
    data = put_big(parted, bucket, server)
    server.fault("UploadPartCopy", {"type": "delay", "ms": 2000})
    with open(parted.path / "big", "r+b") as file:
        file.seek(10 * MIB)
        file.write(b"!")
    data[10 * MIB] = ord("!")
    parted.sync()
    copies, parts = server.requests("UploadPartCopy"), server.requests("UploadPart")
    assert [len(copies), len(parts)] == [2, 1]
    assert max(entry["in_flight"] for entry in copies) == 2
    assert parts[0]["start"] < min(entry["time"] for entry in copies)
    assert bucket.get("big") == data


def test_big_file_cut_to_a_few_bytes(parted, server, bucket):
    data = put_big(parted, bucket, server)
    os.truncate(parted.path / "big", 1000)
    parted.sync()
    lookups, others = spent(server)
    assert others.pop("PutObject") == 1
    assert others.pop("GetObject") == 1
    assert others == {}
    assert lookups <= 2
    assert fetched(server) == 1000
    assert bucket.get("big") == data[:1000]


def test_append_to_a_big_file(parted, server, bucket):
    data = put_big(parted, bucket, server)
    with open(parted.path / "big", "ab") as file:
        file.write(b"more")
    parted.sync()
    lookups, others = spent(server)
    assert others.pop("InitiateMultipartUpload") == 1
    assert others.pop("CompleteMultipartUpload") == 1
    assert 1 <= others.pop("UploadPart") <= 2
    assert others.pop("UploadPartCopy") == 1
    assert others.pop("GetObject", 0) <= 1
    assert others == {}
    assert lookups <= 2
    assert bucket.get("big") == bytes(data) + b"more"


def test_sequential_read(parted, server, bucket):
    data = put_big(parted, bucket, server)
    assert (parted.path / "big").read_bytes() == data
    lookups, others = spent(server)
    assert others.pop("GetObject") + lookups <= 20 // 4 + 4
    assert others == {}


def test_cp_within_the_mount(mount, server, bucket):
    data = random.Random(6).randbytes(300 * KIB)
    (mount.path / "a").write_bytes(data)
    mount.sync()
    server.clear_log()
    run("cp", mount.path / "a", mount.path / "b")
    mount.sync()
    lookups, others = spent(server)
    assert others == {"CopyObject": 1}
    assert lookups <= 2
    assert bucket.get("b") == data


def test_attributes_of_an_uploaded_object(make_mount, server, bucket):
    mount = make_mount(settle="1h", **TRUST).start()
    path = mount.path / "file"
    path.write_bytes(b"text")
    mount.remount()
    server.clear_log()
    os.chmod(path, 0o640)
    os.utime(path, ns=(1, 2))
    os.setxattr(path, "user.a", b"b")
    mount.sync()
    lookups, others = spent(server)
    assert others == {"CopyObject": 1}
    assert lookups <= 2
    assert bucket.get("file") == b"text"


def test_rename_of_an_uploaded_object(mount, server, bucket):
    (mount.path / "a").write_bytes(b"text")
    mount.remount()
    server.clear_log()
    os.rename(mount.path / "a", mount.path / "b")
    mount.sync()
    lookups, others = spent(server)
    assert others.pop("CopyObject") == 1
    assert sum(others.values()) == 1
    assert set(others) <= {"DeleteObject", "DeleteMultipleObjects"}
    assert lookups <= 3
    assert bucket.keys() == ["b"]


def test_rename_before_the_upload_is_free(make_mount, server, bucket):
    mount = make_mount(settle="1h", **TRUST).start()
    server.clear_log()
    (mount.path / ".tmp").write_bytes(b"text")
    os.rename(mount.path / ".tmp", mount.path / "file")
    mount.sync()
    lookups, others = spent(server)
    assert others == {"PutObject": 1}
    assert lookups <= 2
    assert bucket.keys() == ["file"]


def test_unlink_before_the_upload_is_free(make_mount, server, bucket):
    mount = make_mount(settle="1h", **TRUST).start()
    server.clear_log()
    (mount.path / "tmp").write_bytes(b"text")
    os.unlink(mount.path / "tmp")
    mount.sync()
    lookups, others = spent(server)
    assert others == {}
    assert lookups <= 1
    assert bucket.keys() == []


def fill(bucket, count, size=1):
    """Files with attributes of their own in dir/."""
    for number in range(count):
        bucket.put(f"dir/{number:05}", b"x" * size, {"x-oss-meta-mode": "33200"})


def at_least_16_heads_at_once(server, program):
    """HEADs are answered until the program is well on its way, and then when there are 16 of them."""
    server.fault("HeadObject", {"type": "stall", "until": "cleared"}, **{"from": 50})
    server.clear_log()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(program)
        wait_until("16 HEADs at once", lambda: server.fault_state()[0]["acted"] >= 16)
        server.clear_faults()
        done.result()
    heads = server.requests("HeadObject")
    assert max(entry["in_flight"] for entry in heads) >= 16
    return heads


SYMLINK_MAX = 4095  # a larger object is no symlink, whatever its metadata say


@pytest.mark.limit(300)
def test_rm_of_many_files(make_mount, server, bucket):
    count = 1500
    fill(bucket, count, SYMLINK_MAX + 1)
    mount = make_mount(settle="1h", **TRUST).start()
    server.clear_log()
    run("rm", "-r", mount.path / "dir")
    mount.sync()
    lookups, others = spent(server)
    assert others.pop("PutObject", 0) <= 1  # the directory's marker, when its last file goes
    assert set(others) <= {"DeleteMultipleObjects", "DeleteObject"}
    assert sum(others.values()) <= count // 1000 + 1 + 5
    assert lookups <= count // 1000 + 1 + 5
    assert bucket.keys() == []


@pytest.mark.limit(300)
def test_find_deletes_many_small_files(make_mount, server, bucket):
    """What is small enough to be a symlink has no type without its HEAD: many at once, or none."""
    count = 600
    fill(bucket, count)
    mount = make_mount(settle="1h", connections="32", **TRUST).start()
    heads = at_least_16_heads_at_once(server, lambda: run("find", mount.path / "dir", "-delete"))
    mount.sync()
    lookups, others = spent(server)
    assert others.pop("PutObject", 0) <= 1
    assert sum(others.values()) <= count // 1000 + 1 + 5
    assert len(heads) <= count + 1
    assert lookups - len(heads) <= count // 1000 + 1 + 5
    assert bucket.keys() == []


@pytest.mark.limit(300)
def test_a_batch_of_deletes_fills_while_another_is_sent(make_mount, server, bucket):
    count, batch = 2000, 1000
    fill(bucket, count, SYMLINK_MAX + 1)
    mount = make_mount(settle="1h", **TRUST).start()
    names = sorted(os.listdir(mount.path / "dir"))

    def unlink(begin, end):
        for name in names[begin:end]:
            os.unlink(mount.path / "dir" / name)

    server.fault("DeleteMultipleObjects", {"type": "stall", "until": "cleared"})
    unlink(0, batch)
    wait_until("the first is sent", lambda: server.fault_state()[0]["acted"] == 1)
    unlink(batch, batch + batch // 2)
    server.clear_faults()
    wait_until("it is over", lambda: len(bucket.keys("dir/0")) == count - batch)
    unlink(batch + batch // 2, count)
    mount.sync()
    assert len(server.requests("DeleteMultipleObjects")) == count // batch
    assert bucket.keys() == ["dir/"]


def test_rm_of_small_files_that_are_known(make_mount, server, bucket):
    mount = make_mount(settle="1h", **TRUST).start()
    (mount.path / "dir").mkdir()
    for number in range(200):
        (mount.path / f"dir/{number:05}").write_bytes(b"x")
    mount.remount()
    server.clear_log()
    run("rm", "-r", mount.path / "dir")
    mount.sync()
    assert len(server.requests("HeadObject")) <= 1
    lookups, others = spent(server)
    assert sum(others.values()) <= 1 + 5
    assert lookups <= 6
    assert bucket.keys() == []


def ask_for_attributes(path, order):
    """Like ls -l, in an order of ours."""
    if order == "ls":
        run("ls", "-l", path)
        return
    names = os.listdir(path)
    if order == "backwards":
        names.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(names)
    for name in names:
        assert (path / name).lstat().st_mode == 0o100660


@pytest.mark.parametrize("size", [1, SYMLINK_MAX + 1], ids=["small", "large"])
@pytest.mark.parametrize("order", ["ls", "backwards", "shuffled"])
def test_ls_l_asks_for_many_at_once(make_mount, server, bucket, order, size):
    count = 300
    fill(bucket, count, size)
    mount = make_mount(connections="32", **TRUST).start()
    heads = at_least_16_heads_at_once(
        server, lambda: ask_for_attributes(mount.path / "dir", order))
    lookups, others = spent(server)
    assert others == {}
    assert len(heads) <= count + 1  # and the directory's
    assert lookups - len(heads) <= 4


def test_ls_l_asks_for_many_at_once_though_listings_age(make_mount, server, bucket):
    count = 300
    fill(bucket, count)
    mount = make_mount(connections="32", attr_timeout="50ms").start()
    at_least_16_heads_at_once(server, lambda: run("ls", "-l", mount.path / "dir"))


def test_ls_l_again_sends_listings_only(make_mount, server, bucket):
    server.control("POST", "time", {"offset": -300})  # objects that nobody is changing just now
    fill(bucket, 100)
    server.control("POST", "time", {"offset": 0})
    mount = make_mount(**TRUST).start()
    run("ls", "-l", mount.path / "dir")
    mount.remount()
    server.clear_log()
    run("ls", "-l", mount.path / "dir")
    assert server.requests("HeadObject") == []
    assert spent(server)[1] == {}
    assert (mount.path / "dir/00000").stat().st_mode == 33200
