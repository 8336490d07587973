"""
A whole session with a server that nobody here has written the client against.

The server is strict with what it is sent, and answers in each of the ways that the protocol
leaves open (ossup_testlib/foreign.py). Whatever its habits, all works and nothing is complained of.
"""

import os
import random
import shutil
import subprocess

import pytest

from ossup_testlib import wait_until
from ossup_testlib.foreign import ForeignServer, Habits
from ossup_testlib.foreign_ops import Upload
from ossup_testlib.foreign_rules import Refused

HABITS = {
    "as-oss": (Habits(), {}),
    "v1-signature": (Habits(header_case="lower", lower_etags=True, quotes=False), {"sign": "v1"}),
    "rich-xml": (
        Habits(
            namespace=True,
            pretty=True,
            extras=True,
            header_case="upper",
            content_type="application/xml; charset=utf-8",
        ),
        {},
    ),
    "sparse": (Habits(sparse=True, crc=("put", "part"), marks=False, info="unknown"), {}),
    "no-crc": (Habits(crc=(), derived_etags=False), {}),
    "no-encoding": (Habits(encoding=False, list_version=1, prefixes_first=True, page=3), {}),
    "short-pages": (Habits(page=3, empty_page=True, fraction="987"), {}),
    "one-request-a-connection": (Habits(close=True, chunked=True, go_on=True), {}),
    "http-1.0": (Habits(old=True), {}),
    "connections-die": (Habits(lifetime=2, deleted=200, errors=False, info="refused"), {}),
    "no-documents": (Habits(results=False, batches=False), {}),
    "clock-ahead": (Habits(clock=400), {}),
    "clock-far-behind": (Habits(clock=-4000), {}),
    "deletes-awaited": (Habits(), {"delete": "sync"}),
}
NAMES = [
    "plain",
    "with space",
    " lead",
    "trail ",
    "plus+and&amp;",
    "ü-ünïcode",
    "per%cent%20",
    "quote\"'<>",
    "tab\there",
    "new\nline",
    "~tilde",
    "q?a=b#c",
    "semi;colon,",
    "back\\slash",
    "=eq",
]
CONTROL = "\x01control"  # no XML can spell it
SIZE = 3 * (1 << 20) + 77


@pytest.fixture
def foreign(request):
    server = ForeignServer(request.param if hasattr(request, "param") else None)
    yield server
    server.stop()


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def make_tree(top, names, rng):
    for folder in (top, top / "sub dir"):
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(rng.randbytes(200))
    (top / "plain").chmod(0o754)
    os.utime(top / "plain", (1e9, 1e9))
    (top / "link").symlink_to("plain")


def contents(tree, prefix):
    """The objects that this tree is to become; directories apart."""
    found = {}
    for path in tree.rglob("*"):
        key = f"{prefix}{path.relative_to(tree)}"
        if path.is_symlink():
            found[key] = os.readlink(path).encode()
        elif path.is_file():
            found[key] = path.read_bytes()
    return found


def files(server):
    return {key: obj.data for key, obj in server.objects.items() if not key.endswith("/")}


@pytest.mark.parametrize(
    ("foreign", "options"), HABITS.values(), ids=HABITS.keys(), indirect=["foreign"]
)
def test_session(make_mount, foreign, folder, options):
    rng = random.Random(7)
    names = NAMES + [CONTROL] * foreign.habits.encoding
    tree = folder / "tree"
    make_tree(tree, names, rng)
    big = bytearray(rng.randbytes(SIZE))
    mount = make_mount(server=foreign, part_size="1M", attr_timeout="1m", **options).start()
    path = mount.path
    assert len(foreign.log) == 2 + (foreign.habits.clock < -900)  # a listing, GetBucketInfo

    # new files
    (path / "big").write_bytes(big)
    run("rsync", "-a", tree, path)
    mount.sync()
    truth = {**contents(tree, "tree/"), "big": bytes(big)}
    assert files(foreign) == truth
    assert run("rsync", "-anci", tree, path) == ""

    # changes of an object
    with open(path / "big", "ab") as file:
        file.write(b"tail")
    big += b"tail"
    mount.sync("big")
    assert files(foreign)["big"] == big
    with open(path / "big", "r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"X")
    big[SIZE // 2 : SIZE // 2 + 1] = b"X"
    mount.sync("big")
    (path / "big").chmod(0o600)
    mount.sync("big")
    assert foreign.objects["big"].headers["x-oss-meta-mode"] == str(0o100600)
    assert files(foreign)["big"] == big
    assert (path / "big").read_bytes() == big

    # names
    (path / "big").rename(path / "bigger")
    (path / "tree").rename(path / "wood")
    run("cp", path / "bigger", path / "copy")
    mount.sync()
    truth = {**contents(tree, "wood/"), "bigger": bytes(big), "copy": bytes(big)}
    assert files(foreign) == truth

    # the next mount
    foreign.log.clear()
    mount.sync()
    mount.status()
    mount.umount()
    assert foreign.log == []
    mount.start()
    foreign.log.clear()
    assert run("rsync", "-ai", f"{tree}/", f"{path}/wood") == ""
    assert len(foreign.requests("HeadObject")) <= 1  # the directory's
    assert (path / "bigger").read_bytes() == big

    # killed in an upload
    (path / "late").write_bytes(big)
    wait_until("it is on its way", lambda: foreign.uploads or "late" in foreign.objects)
    mount.kill9()
    mount.start()
    mount.sync()
    assert files(foreign) == {**truth, "late": bytes(big)}

    # a put beside the mount
    source = folder / "source"
    source.write_bytes(big)
    where = f"endpoint={foreign.endpoint},region=cn-hangzhou"
    mount.run("put", "-p", "1M", source, "oss://bucket/put/it", "-o", where)
    assert files(foreign)["put/it"] == big

    # and the end
    shutil.rmtree(path / "wood")
    for name in ("bigger", "copy", "late"):
        (path / name).unlink()
    mount.umount()
    assert files(foreign) == {"put/it": bytes(big)}
    assert foreign.uploads == {}
    assert foreign.complaints == []


@pytest.mark.parametrize("sign", ["v1", "v4"])
def test_temporary_credentials(make_mount, foreign, sign):
    key_id, (secret, _) = foreign.keys.popitem()
    token = "a/token+of=some=="
    foreign.keys[key_id] = (secret, token)
    mount = make_mount(server=foreign, sign=sign)
    mount.env["OSS_SESSION_TOKEN"] = token
    mount.start()
    (mount.path / "a b+c").write_bytes(b"x")
    mount.sync()
    (mount.path / "a b+c").rename(mount.path / "d&e")
    mount.umount()
    assert files(foreign) == {"d&e": b"x"}
    assert foreign.complaints == []


def test_metadata_of_others_is_kept(make_mount, foreign):
    theirs = {
        "content-type": f"multipart/mixed; boundary={'x' * 200}",
        "cache-control": "max-age=3",
        "content-disposition": 'attachment; filename="a b.txt"',
        "content-encoding": "identity",
        "expires": "Wed, 21 Oct 2030 07:28:00 GMT",
        "x-oss-meta-author": "someone else",
        "x-oss-storage-class": "IA",
    }
    mount = make_mount(server=foreign).start()
    (mount.path / "file").write_bytes(b"hello")
    mount.sync()
    foreign.objects["file"].headers = dict(theirs)
    foreign.objects["file"].modified += 10
    (mount.path / "file").chmod(0o600)
    mount.sync()
    kept = foreign.objects["file"].headers
    assert kept["x-oss-meta-mode"] == str(0o100600)
    assert {name: kept.get(name) for name in theirs} == theirs
    with open(mount.path / "file", "ab") as file:
        file.write(b" world")
    mount.sync()
    (mount.path / "dir").mkdir()
    (mount.path / "file").rename(mount.path / "dir/file")
    mount.remount()
    (mount.path / "dir").rename(mount.path / "folder")
    mount.umount()
    kept = foreign.objects["folder/file"].headers
    assert foreign.objects["folder/file"].data == b"hello world"
    assert {name: kept.get(name) for name in theirs} == theirs
    assert foreign.complaints == []


@pytest.mark.parametrize(
    "foreign", [Habits(clock=seconds) for seconds in (0, 400, -400)], indirect=True
)
def test_an_upload_id_that_was_never_heard_of_is_found_by_any_clock(make_mount, foreign):
    mount = make_mount(server=foreign, part_size="1M", early="off").start()
    foreign.fault = lambda operation, _: (  # nor is it found before the kill
        "cut-after" if "Initiate" in operation
        else "cut" if operation == "ListMultipartUploads" else None)
    (mount.path / "late").write_bytes(bytes(SIZE))
    wait_until("it is begun", lambda: foreign.uploads)
    mount.kill9()
    foreign.fault = lambda operation, request: None
    mount.start()
    mount.umount()
    assert files(foreign) == {"late": bytes(SIZE)}
    assert foreign.uploads == {}
    assert foreign.complaints == []


@pytest.mark.parametrize("foreign", [Habits(page=1)], indirect=True)
def test_gc_goes_through_all_pages(make_mount, foreign):
    old = foreign.now() - 30 * 86400
    for number in range(5):
        foreign.uploads[f"ID{number}"] = Upload(f"k &+{number}", {}, old)
    mount = make_mount(server=foreign)
    mount.run("gc", "bucket", "-o", f"endpoint={foreign.endpoint},region=cn-hangzhou")
    assert foreign.uploads == {}
    assert foreign.complaints == []


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_delete_that_is_awaited_tells_its_refusal(make_mount, foreign, known):
    mount = make_mount(server=foreign, delete="sync", attr_timeout="1m").start()
    (mount.path / "file").write_bytes(b"x")
    mount.sync()
    mount.remount()
    if known:
        (mount.path / "file").stat()
    foreign.fault = lambda operation, _: (
        Refused(403, "AccessDenied") if operation == "DeleteObject" else None
    )
    with pytest.raises(PermissionError):
        (mount.path / "file").unlink()
    assert (mount.path / "file").read_bytes() == b"x"
    foreign.fault = lambda operation, request: None
    (mount.path / "file").unlink()
    assert foreign.objects == {}
