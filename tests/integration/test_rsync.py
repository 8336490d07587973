"""rsync -a of a tree: what it costs, and that nothing of it is lost over a remount."""

import os
import random
import subprocess

import pytest

FILES = 2000
SECONDS = 1_000_000_000


def make_tree(root):
    """2,000 files, symlinks, odd modes, old times; returns (entries, directories among them)."""
    source = random.Random(2)
    folders = [root]
    for number in range(19):
        folder = source.choice(folders) / f"dir {number}"
        folder.mkdir(mode=0o755)
        folders.append(folder)
    entries = len(folders) - 1
    for number in range(FILES):
        path = source.choice(folders) / f"file-{number}"
        path.write_bytes(source.randbytes(source.choice((0, 1, 100, 5000, 20_000))))
        path.chmod(source.choice((0o644, 0o600, 0o755, 0o444, 0o4755, 0o000, 0o2711)))
        entries += 1
    for number in range(40):
        path = source.choice(folders) / f"link-{number}"
        path.symlink_to(source.choice(("file-1", "../no such", "/etc/passwd", "ü é")))
        entries += 1
    for path in sorted(root.rglob("*"), reverse=True):
        old = source.randrange(-SECONDS, SECONDS) * SECONDS + source.randrange(SECONDS)
        os.utime(path, ns=(old, old), follow_symlinks=False)
    return entries, len(folders)


def rsync(*words):
    return subprocess.run(
        ["rsync", *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@pytest.mark.limit(600)
def test_tree_comes_back_as_it_was(make_mount, server, bucket, folder):
    tree = folder / "tree"
    tree.mkdir()
    entries, folders = make_tree(tree)
    mount = make_mount(attr_timeout="10m", settle="500ms").start()
    target = mount.path / "copy"

    server.clear_log()
    rsync("-a", f"{tree}/", f"{target}/")
    mount.umount()
    counts = server.counts()
    puts = counts.pop("PutObject")
    # rsync sets a directory's mode and times late: on a slow machine each is a PUT of its own.
    assert puts <= entries + 1 + 3 * folders, counts
    assert sum(counts.values()) <= entries // 100 + 2 * folders, counts
    assert bucket.uploads() == []

    mount.start()
    assert rsync("-anc", "--itemize-changes", f"{tree}/", f"{target}/") == ""


@pytest.mark.limit(300)
def test_unchanged_tree_costs_listings_only_after_a_remount(make_mount, server, folder):
    tree = folder / "tree"
    tree.mkdir()
    _, folders = make_tree(tree)
    mount = make_mount(attr_timeout="1m", settle="500ms").start()
    target = mount.path / "copy"
    rsync("-a", f"{tree}/", f"{target}/")
    mount.umount()

    mount.start()
    server.clear_log()
    rsync("-a", f"{tree}/", f"{target}/")
    mount.sync()
    counts = server.counts()
    listings = sum(counts.pop(name, 0) for name in ("ListObjects", "ListObjectsV2"))
    assert counts == {}, "an unchanged tree costs listings only"
    assert listings <= folders + 1  # each has less than 1,000 names; and the mountpoint


@pytest.mark.limit(300)
def test_new_files_cost_a_put_each(make_mount, server, bucket, folder):
    tree = folder / "tree"
    tree.mkdir()
    for number in range(1000):
        (tree / f"{number}").write_bytes(b"%d" % number)
        os.utime(tree / f"{number}", ns=(SECONDS, number * SECONDS))
    # The time between close and rename has no bound on a slow machine.
    mount = make_mount(attr_timeout="10m", settle="1h").start()
    server.clear_log()
    rsync("-a", f"{tree}/", f"{mount.path}/")
    mount.sync()
    counts = server.counts()
    assert counts.pop("PutObject") == 1000, counts
    assert sum(counts.values()) <= 10, counts
    assert len(bucket.list()) == 1000


@pytest.mark.limit(300)
def test_changed_files_are_sent_and_no_others(make_mount, server, bucket, folder):
    tree = folder / "tree"
    tree.mkdir()
    for number in range(50):
        (tree / f"{number}").write_bytes(b"x" * number)
    mount = make_mount(settle="1h").start()
    rsync("-a", f"{tree}/", f"{mount.path}/")
    mount.remount()
    for number in (3, 30):
        (tree / f"{number}").write_bytes(b"changed")
    os.unlink(tree / "7")
    server.clear_log()
    rsync("-a", "--delete", f"{tree}/", f"{mount.path}/")
    mount.sync()
    assert sorted(entry["key"] for entry in server.requests("PutObject")) == ["3", "30"]
    assert bucket.get("30") == b"changed"
    assert bucket.get("7") is None
    assert rsync("-anc", "--delete", "--itemize-changes", f"{tree}/", f"{mount.path}/") == ""


def test_inplace_and_append_work_too(mount, bucket, folder):
    (folder / "file").write_bytes(b"a" * 300_000)
    rsync("--inplace", folder / "file", f"{mount.path}/")
    with open(folder / "file", "ab") as file:
        file.write(b"b" * 10)
    rsync("--append", folder / "file", f"{mount.path}/")
    mount.sync()
    assert bucket.get("file") == b"a" * 300_000 + b"b" * 10
