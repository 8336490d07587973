"""put is killed at every numbered step, then run again; bucket and file are compared.

Steps on disk are found by a preloaded library that counts the calls which change something there;
steps on the network by a server that holds still before, within and after each request.
"""

import itertools
import random
import signal

import pytest

from ossup_testlib.put import Put
from ossup_testlib.wait import PATIENCE, wait_until

PART = 100 << 10
PARTS = 5


@pytest.fixture
def put(build, server, folder):
    return Put(build, server, folder)


@pytest.fixture
def path(folder):
    path = folder / "file"
    path.write_bytes(random.Random(7).randbytes((PARTS - 1) * PART + 77))
    return path


@pytest.fixture
def kill_at(build):
    """The library to preload."""
    return build.path / "tests/integration/libkill_at.so"


def assert_completes(put, server, bucket, path, key, was_done=False):
    """The next run: the object is right, little was sent twice, nothing is left."""
    if was_done:
        assert bucket.get(key) == path.read_bytes()
    put.ok("-p", "100K", path, f"oss://bucket/{key}")
    assert bucket.get(key) == path.read_bytes()
    whole = [e for e in server.requests("UploadPart", key=key) if e["status"] == 200]
    counts = {number: sum(e["part"] == number for e in whole) for number in range(1, PARTS + 1)}
    assert all(1 <= count <= 2 for count in counts.values()), counts
    assert was_done or sum(counts.values()) <= PARTS + 3
    assert bucket.uploads() == []
    assert [p.name for p in path.parent.iterdir() if p.name.endswith(".ossup-ckpt")] == []


# kind of point: how many there are at least
POINTS = {
    "before directory sync": 1, "after directory sync": 1,  # of the new checkpoint
    "before truncate": 1, "after truncate": 1,
    "before write": PARTS + 4, "in write": PARTS + 4, "after write": PARTS + 4,
    "before sync": 4, "after sync": 4,  # header, initiating, upload id, publishing; some parts
    "before removal": 2, "after removal": 2,
}


@pytest.mark.limit(600)
@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.replace(" ", "-")) for kind in POINTS])
def test_steps_on_disk(put, server, bucket, path, kill_at, kind):
    for number in itertools.count(1):
        key = f"key{number}"
        put.env = {"LD_PRELOAD": str(kill_at), "KILL_AT": f"{number} {kind}",
                   "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
        done = put.run("-p", "100K", path, f"oss://bucket/{key}")
        put.env = {}
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        # When the record is gone all was done: nothing tells the next run, and it begins anew.
        # The second removal is that of the note which tells gc where the record lies.
        assert_completes(put, server, bucket, path, key,
                         kind == "after removal" or (kind == "before removal" and number > 1))
    assert number - 1 >= POINTS[kind]


@pytest.mark.limit(600)
def test_steps_on_the_network(put, server, bucket, path):
    requests = [("InitiateMultipartUpload", None), ("CompleteMultipartUpload", None)]
    requests += [("UploadPart", part) for part in range(1, PARTS + 1)]
    for (operation, part), when in itertools.product(
            requests, ["before-body", "after-body", "after-apply"]):
        key = f"{operation}-{part}-{when}"
        rule = {} if part is None else {"part": part}
        server.fault(operation, {"type": "stall", "when": when}, **rule)
        process = put.start("-p", "100K", path, f"oss://bucket/{key}")
        wait_until("the request is held", lambda: held(server))
        process.kill()
        process.communicate(timeout=PATIENCE)
        server.clear_faults()
        assert_completes(put, server, bucket, path, key)


def held(server):
    return any(rule["acted"] for rule in server.fault_state())


def test_killed_again_and_again(put, server, bucket, path):
    """Each run dies while it is at the next part; none of them loses what the one before had."""
    for part in range(1, PARTS + 1):
        server.fault("UploadPart", {"type": "stall", "when": "before-body"}, part=part)
        process = put.start("-p", "100K", "-t", "1", path, "oss://bucket/key")
        wait_until("the part is held", lambda: held(server))
        process.kill()
        process.communicate(timeout=PATIENCE)
        server.clear_faults()
    put.ok("-p", "100K", path, "oss://bucket/key")
    assert bucket.get("key") == path.read_bytes()
    whole = [e["part"] for e in server.requests("UploadPart", key="key") if e["status"] == 200]
    assert sorted(whole) == list(range(1, PARTS + 1))
    assert len(server.requests("InitiateMultipartUpload")) == 1
    assert bucket.uploads() == []
