"""SIGKILL of the daemon at every step of an upload: nothing is lost, torn, left or sent in vain.

Two ways to hit a step. The server holds a request (before or after its effect) until the daemon is
dead: test_killed_while_*. And the library killer.c counts the daemon's calls that change the spool or
speak to the server, and ends it at the n-th: test_killed_at_a_call.
"""

import contextlib
import hashlib
import itertools
import os
import random
import shutil

import pytest

from ossup_testlib import unmount, wait_until
from ossup_testlib.campaign import long_campaign

PART = 100 << 10
BIG = random.Random(1).randbytes(4 * PART + 12_345)
CHANGED = random.Random(2).randbytes(1000)
SMALL = b"small" * 200
OPTIONS = {"part_size": "100K", "settle": "0"}


def digest(data):
    return None if data is None else hashlib.sha256(data).hexdigest()


def digests(files):
    return {name: digest(data) for name, data in files.items()}


def in_bucket(bucket):
    return {key: bucket.get(key) for key in bucket.keys()}


def in_mount(mount):
    return {entry.name: (mount.path / entry.name).read_bytes() for entry in os.scandir(mount.path)}


def check_end(mount, bucket, expected, lost=0):
    """After a remount: `expected` is what the mount shows, and after a sync what the bucket has.

    lost: files that were never closed, which are kept in the spool.
    """
    assert digests(in_mount(mount)) == digests(expected)
    mount.sync()
    assert digests(in_bucket(bucket)) == digests(expected)
    assert digests(in_mount(mount)) == digests(expected)
    assert bucket.uploads() == []
    wait_until("the spool is empty", lambda: len(mount.spool_files()) <= 2 * lost)


class Held:
    """The server holds the next request of an operation, at a moment of it."""

    def __init__(self, server, operation, when, part=None):
        action = {"type": "stall"}
        if when == "half":
            action["bytes"] = PART // 2
        else:
            action["when"] = when
        rule = {} if part is None else {"part": part}
        self.server = server
        self.applied = when == "after-apply"
        server.clear_faults()
        server.fault(operation, action, nth=1, **rule)

    def wait(self, effect=None):
        wait_until("the request is held", lambda: self.server.fault_state()[0]["acted"])
        if self.applied:
            wait_until("it took effect", effect)


# -- a new file in parts --


def write(path, data, mode="wb"):
    with open(path, mode) as file:
        file.write(data)


def nothing(path):
    return {"big": BIG}


def rename(path):
    os.rename(path, path.parent / "other")
    return {"other": BIG}


def rename_away_and_create(path):
    os.rename(path, path.parent / "other")
    write(path, SMALL)
    return {"other": BIG, "big": SMALL}


def unlink(path):
    path.unlink()
    return {}


def unlink_and_create(path):
    path.unlink()
    write(path, SMALL)
    return {"big": SMALL}


def change(path):
    with open(path, "r+b") as file:
        file.seek(PART + 50)
        file.write(CHANGED)
    return {"big": BIG[: PART + 50] + CHANGED + BIG[PART + 50 + len(CHANGED) :]}


def overwrite(path):
    write(path, BIG[::-1])
    return {"big": BIG[::-1]}


def append(path):
    write(path, CHANGED, "ab")
    return {"big": BIG + CHANGED}


def cut(path):
    os.truncate(path, 2 * PART + 7)
    return {"big": BIG[: 2 * PART + 7]}


def cut_to_small(path):
    os.truncate(path, 7)
    return {"big": BIG[:7]}


def replace(path):
    """The usual way to save: the new file is pending when it is renamed."""
    write(path.parent / "new", SMALL)
    os.rename(path.parent / "new", path)
    return {"big": SMALL}


def half_written(path):
    """Written to and not closed: what was closed before is what stays."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, CHANGED, 50)
    half_written.fd = fd
    return {"big": BIG}


MEANWHILE = [
    nothing, rename, rename_away_and_create, unlink, unlink_and_create, change, overwrite, append,
    cut, cut_to_small, replace, half_written,
]

STEPS = [
    ("InitiateMultipartUpload", "after-body", None),
    ("InitiateMultipartUpload", "after-apply", None),
    ("UploadPart", "before-body", 1),
    ("UploadPart", "half", 2),
    ("UploadPart", "after-body", 3),
    ("UploadPart", "after-apply", 3),
    ("UploadPart", "after-body", 5),
    ("UploadPart", "after-apply", 5),
    ("CompleteMultipartUpload", "after-body", None),
    ("CompleteMultipartUpload", "after-apply", None),
]


def took_effect(bucket, operation, part):
    uploads = bucket.uploads()
    if operation == "InitiateMultipartUpload":
        return uploads
    if operation == "UploadPart":
        return uploads and part in bucket.parts(*uploads[0])
    return bucket.head("big")


def sampled(step, meanwhile):
    """The normal run has each step with nothing else and with two acts; tests/long.sh has all."""
    at = STEPS.index(step) * 2
    acts = MEANWHILE[1:]
    return meanwhile in (nothing, acts[at % len(acts)], acts[(at + 1) % len(acts)])


def step_id(step):
    return "-".join(str(word) for word in step if word)


HELD = [
    pytest.param(
        step, meanwhile,
        id=f"{'' if sampled(step, meanwhile) else 'long-'}{step_id(step)}-{meanwhile.__name__}",
        marks=() if sampled(step, meanwhile) else
        long_campaign,
    )
    for step in STEPS
    for meanwhile in MEANWHILE
    # A rename over a name that is being completed waits for the answer.
    if meanwhile is not replace or step[0] != "CompleteMultipartUpload"
]


@pytest.mark.parametrize(("step", "meanwhile"), HELD)
def test_killed_while_a_request_is_held(server, bucket, make_mount, step, meanwhile):
    operation, when, part = step
    mount = make_mount(**OPTIONS).start()
    held = Held(server, operation, when, part)
    write(mount.path / "big", BIG)
    held.wait(lambda: took_effect(bucket, operation, part))
    expected = meanwhile(mount.path / "big")
    mount.kill9()
    if meanwhile is half_written:
        with contextlib.suppress(OSError):  # nobody is there to hear it
            os.close(half_written.fd)
    if operation != "CompleteMultipartUpload":
        # What was made of it meanwhile may be there already; what is held, or not closed, may not.
        held_back = meanwhile in (nothing, half_written)
        assert bucket.get("big") in {None, None if held_back else expected.get("big")}
    known = {e["part"] for e in server.requests("UploadPart") if e["status"] == 200}
    server.clear_faults()
    server.clear_log()
    mount.start()
    check_end(mount, bucket, expected)
    if meanwhile in (nothing, half_written):
        sent = [e["part"] for e in server.requests("UploadPart")]
        assert len(sent) == len(set(sent))
        assert not known & set(sent), "a part that was answered is sent again"
        if operation == "CompleteMultipartUpload":
            assert sent == []


# -- a small file, a change of attributes, a rename and a delete of what is in the bucket --


def put_small(mount):
    write(mount.path / "small", SMALL)


def chmod_small(mount):
    os.chmod(mount.path / "small", 0o600)


def rename_small(mount):
    os.rename(mount.path / "small", mount.path / "other")


def unlink_small(mount):
    (mount.path / "small").unlink()


def change_big(mount):
    change(mount.path / "big")


def unlink_big(mount):
    (mount.path / "big").unlink()


AFTER_CHANGE = BIG[: PART + 50] + CHANGED + BIG[PART + 50 + len(CHANGED) :]

OTHERS = {
    "put": (None, put_small, "PutObject", {"small": SMALL}),
    "overwrite": (b"before", put_small, "PutObject", {"small": SMALL}),
    "chmod": (SMALL, chmod_small, "CopyObject", {"small": SMALL}),
    "unlink": (SMALL, unlink_small, "DeleteMultipleObjects", {}),
    "copy-part": (BIG, change_big, "UploadPartCopy", {"big": AFTER_CHANGE}),
    "complete-over": (BIG, change_big, "CompleteMultipartUpload", {"big": AFTER_CHANGE}),
}


@pytest.mark.parametrize("when", ["after-body", "after-apply"])
@pytest.mark.parametrize("name", OTHERS)
def test_killed_while_another_request_is_held(server, bucket, make_mount, name, when):
    before, act, operation, expected = OTHERS[name]
    mount = make_mount(**OPTIONS).start()
    if before is not None:
        write(mount.path / ("big" if before == BIG else "small"), before)
        mount.sync()
    first = in_bucket(bucket)
    headers = bucket.head("small")
    held = Held(server, operation, when)
    act(mount)

    def effect():
        if operation == "UploadPartCopy":
            return bucket.parts(*bucket.uploads()[0])
        if operation == "CopyObject":
            return bucket.head("small") != headers
        return in_bucket(bucket) == expected

    held.wait(effect)
    mount.kill9()
    assert digests(in_bucket(bucket)) in (digests(first), digests(expected))
    server.clear_faults()
    mount.start()
    check_end(mount, bucket, expected)
    if name == "chmod":
        assert bucket.meta("small")["mode"] == str(0o100600)


@pytest.mark.parametrize("changed", [False, True], ids=["as it is", "changed"])
@pytest.mark.parametrize("when", ["after-body", "after-apply"])
@pytest.mark.parametrize("operation", ["CopyObject", "DeleteMultipleObjects"])
def test_killed_while_a_rename_is_on_its_way(
    server, bucket, make_mount, operation, when, changed
):
    """rename(2) may be waiting for the server: it happened, or it did not, and there is one name.

    What is in the bucket is renamed by a copy and a delete; the next mount does what is left.
    """
    mount = make_mount(**{**OPTIONS, "settle": "300ms"}).start()
    put_small(mount)
    mount.sync()
    content = SMALL
    held = Held(server, operation, when)
    if changed:
        write(mount.path / "small", CHANGED, "ab")
        content += CHANGED
    child = os.fork()
    if child == 0:
        try:
            rename_small(mount)
        except OSError:
            os._exit(1)
        os._exit(0)
    copying = operation == "CopyObject"
    held.wait(lambda: "other" in bucket.keys() if copying else "small" not in bucket.keys())
    done, status = os.waitpid(child, os.WNOHANG)
    mount.kill9()
    if not done:
        _, status = os.waitpid(child, 0)
    server.clear_faults()
    mount.start()
    wait_until("there is one name", lambda: len(os.listdir(mount.path)) == 1)
    happened = not copying or when == "after-apply"
    assert status == 0 or copying
    check_end(mount, bucket, {"other" if happened else "small": content})


@pytest.mark.parametrize("operation", ["ListParts", "UploadPart", "CompleteMultipartUpload"])
def test_killed_again_while_it_resumes(server, bucket, make_mount, operation):
    mount = make_mount(**OPTIONS).start()
    held = Held(server, "UploadPart", "after-body", 4)
    write(mount.path / "big", BIG)
    held.wait()
    mount.kill9()
    for when in ("after-body", "after-apply"):
        held = Held(server, operation, when)
        mount.start()
        assert digests(in_mount(mount)) == digests({"big": BIG})
        wait_until("the request is held", lambda: server.fault_state()[0]["acted"])
        mount.kill9()
    server.clear_faults()
    mount.start()
    check_end(mount, bucket, {"big": BIG})


# -- every call --


def _life(mount):
    """What the daemon's calls are taken from; yields the states that a crash may leave, in order."""
    path = mount.path
    yield {}, lambda: write(path / "big", BIG)
    yield {"big": BIG}, lambda: write(path / "small", SMALL)
    yield {"big": BIG, "small": SMALL}, mount.sync
    yield {"big": BIG, "small": SMALL}, lambda: change(path / "big")
    yield {"big": AFTER_CHANGE, "small": SMALL}, lambda: os.rename(path / "small", path / "other")
    yield {"big": AFTER_CHANGE, "other": SMALL}, lambda: os.chmod(path / "other", 0o600)
    yield {"big": AFTER_CHANGE, "other": SMALL}, mount.sync
    yield {"big": AFTER_CHANGE, "other": SMALL}, lambda: cut(path / "big")
    yield {"big": AFTER_CHANGE[: 2 * PART + 7], "other": SMALL}, lambda: (path / "big").unlink()
    yield {"other": SMALL}, lambda: write(path / "other", CHANGED, "ab")
    yield {"other": SMALL + CHANGED}, mount.sync
    yield {"other": SMALL + CHANGED}, None


def live_until_killed(mount):
    """The states that are right after the crash: the last whole one, or that of the act on its way."""
    life = list(_life(mount))
    for (state, act), (after, _) in itertools.pairwise(life):
        try:
            act()
        except (OSError, AssertionError):
            return [state, after]
        if not mount.is_running():
            return [after]
    return None


def killed_at_call(build, bucket, mount, number):
    """False: the daemon lived through it all, there is no such call."""
    arm, report = mount.folder / "armed", mount.folder / "report"
    mount.env = {
        "LD_PRELOAD": str(build.path / "tests/integration/libkiller.so"),
        "KILLER_AT": str(number),
        "KILLER_ARM": str(arm),
        "KILLER_SPOOL": str(mount.spool),
        "KILLER_REPORT": str(report),
    }
    mount.start()
    arm.touch()
    commands = mount.env
    mount.env = {}
    allowed = live_until_killed(mount)
    mount.killed = True
    if allowed is None:
        unmount(mount.path)
        if mount.process.wait(60) == 0:
            return False
        allowed = [list(_life(mount))[-1][0]]
    mount.process.wait(60)
    mount.kill9()
    where = report.read_text(errors="replace") if report.exists() else f"no report, {commands}"
    mount.start()
    # A rename of what is in the bucket is a copy and a delete: the next mount does what is left.
    wait_until(
        "a rename is finished", lambda: not {"small", "other"} <= set(os.listdir(mount.path))
    )
    seen = digests(in_mount(mount))
    assert seen in [digests(state) for state in allowed], where
    expected = next(state for state in allowed if digests(state) == seen)
    try:
        check_end(mount, bucket, expected, lost=len(allowed) > 1)
    except AssertionError as error:
        raise AssertionError(f"killed at {where}: {error}") from error
    mount.umount()
    return True


def _kill_at_calls(build, server, make_mount, numbers):
    if not (build.path / "tests/integration/libkiller.so").exists():
        pytest.skip("a sanitizer's build takes no library to load before its own")
    bucket = server.bucket()
    for number in numbers:
        mount = make_mount(name=f"m{number}", **OPTIONS)
        mount.allow_errors("has no beginning")  # killed at the first write to a sidecar
        if not killed_at_call(build, bucket, mount, number):
            return
        for key in bucket.keys():
            bucket.delete(key)
        mount.remove()


@pytest.mark.limit(300)
def test_killed_at_a_call(build, server, make_mount):
    _kill_at_calls(build, server, make_mount, range(1, 1000, 11))


@long_campaign
@pytest.mark.limit(3600)
def test_long_killed_at_every_call(build, server, make_mount):
    _kill_at_calls(build, server, make_mount, itertools.count(1))


# -- sidecars that are torn or whose bytes have flipped --


@pytest.fixture
def interrupted(server, bucket, make_mount):
    """A spool with an upload really interrupted, a change of an object, and a small file."""
    mount = make_mount(name="first", **OPTIONS).start()
    write(mount.path / "object", BIG)
    mount.sync()
    held = Held(server, "CompleteMultipartUpload", "after-body")
    write(mount.path / "big", BIG)
    held.wait()
    server.clear_faults()
    unavailable = {"type": "status", "status": 503, "code": "ServiceUnavailable"}
    server.fault("UploadPartCopy", unavailable)
    server.fault("PutObject", unavailable)
    change(mount.path / "object")
    write(mount.path / "small", SMALL)
    mount.kill9()
    server.kill()
    shutil.copytree(server.root, mount.folder / "server")
    return mount


def restore(server, interrupted):
    """The server is what it was at the interruption, with the unfinished uploads."""
    server.kill()
    shutil.rmtree(server.root)
    shutil.copytree(interrupted.folder / "server", server.root)
    server.start()


def damages(length, count, seed):
    """(what, change of the bytes): the file ends early, or a bit of a byte is another."""
    source = random.Random(seed)
    spots = range(length) if count >= length else sorted(source.sample(range(length), count))
    for at in spots:
        bit = 1 << source.randrange(8)

        def flip(data, at=at, bit=bit):
            return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]

        yield f"bit {bit} of byte {at}", flip
        yield f"cut at {at}", lambda data, at=at: data[:at]


def _mount_damaged(server, bucket, make_mount, interrupted, count):
    sidecars = sorted(interrupted.spool.rglob("*.ckpt"))
    assert sidecars
    versions = {"big": {digest(BIG)}, "small": {digest(SMALL)}, 
                "object": {digest(BIG), digest(AFTER_CHANGE)}}
    number = 0
    for sidecar in sidecars:
        whole = sidecar.read_bytes()
        for what, damage in damages(len(whole), count, len(whole)):
            number += 1
            restore(server, interrupted)
            mount = make_mount(name=f"d{number}", **OPTIONS)
            mount.allow_errors(".*")
            shutil.copytree(interrupted.spool, mount.spool, ignore=shutil.ignore_patterns("control"))
            (mount.spool / sidecar.relative_to(interrupted.spool)).write_bytes(damage(whole))
            mount.start()
            for name, data in digests(in_mount(mount)).items():
                assert data in versions[name], f"{sidecar.name} {what}"
            mount.umount()
            for key, data in digests(in_bucket(bucket)).items():
                assert data in versions[key], f"{sidecar.name} {what}"
            mount.remove()


@pytest.mark.limit(300)
def test_damaged_sidecar_never_makes_a_wrong_object(server, bucket, make_mount, interrupted):
    _mount_damaged(server, bucket, make_mount, interrupted, 4)


@long_campaign
@pytest.mark.limit(7200)
def test_long_every_byte_of_a_sidecar_flipped(server, bucket, make_mount, interrupted):
    _mount_damaged(server, bucket, make_mount, interrupted, 1_000_000)
