"""spool list, export and discard: what waits on the disk is not out of reach."""

import json
import os


def listed(mount):
    text = mount.run("spool", "list", "--json", "-o", f"spool={mount.spool}").stdout
    return {item["key"]: item for item in json.loads(text)["files"]}


def test_pending_files_are_listed_exported_and_discarded(make_mount, folder, bucket):
    mount = make_mount(settle="1h").start()
    (mount.path / "d").mkdir()
    (mount.path / "d" / "f").write_bytes(b"x" * 300000)
    os.utime(mount.path / "d" / "f", ns=(1, 1500000000123456789))
    os.symlink("f", mount.path / "d" / "link")
    mount.kill9()
    assert {k: i["state"] for k, i in listed(mount).items()} == {
        "d/": "pending", "d/f": "pending", "d/link": "pending"}

    out = folder / "out"
    where = ("-o", f"spool={mount.spool}")
    mount.run("spool", "export", out, *where)
    assert (out / "d" / "f").read_bytes() == b"x" * 300000
    assert (out / "d" / "f").stat().st_mtime_ns == 1500000000123456789
    assert os.readlink(out / "d" / "link") == "f"
    assert mount.run("spool", "export", out, *where, check=False).returncode == 1  # never overwrites

    ident = listed(mount)["d/f"]["id"]
    refused = mount.run("spool", "discard", ident, *where, check=False)
    assert refused.returncode == 1 and "--yes" in refused.stderr
    mount.run("spool", "discard", ident, "--yes", *where)
    assert sorted(listed(mount)) == ["d/", "d/link"]

    mount.options["settle"] = "50ms"
    mount.start()
    mount.sync()
    assert bucket.keys() == ["d/", "d/link"]
    assert listed(mount) == {}


def test_what_a_daemon_has_is_not_discarded(make_mount):
    mount = make_mount(settle="1h").start()
    (mount.path / "f").write_bytes(b"x")
    ident = listed(mount)["f"]["id"]
    refused = mount.run("spool", "discard", ident, "--yes", "-o", f"spool={mount.spool}",
                        check=False)
    assert refused.returncode == 1 and "in use" in refused.stderr
    assert (mount.path / "f").read_bytes() == b"x"


def test_words_that_mean_nothing_are_told(make_mount):
    mount = make_mount().start()

    def told(*words):
        done = mount.run(*words, check=False)
        return done.returncode, done.stdout + done.stderr

    assert told("sync", mount.path, "--timeout", "soon") == (
        2, 'ossfs-up: --timeout: "soon" is no duration: write 500ms, 30s, 5m, 2h or 7d\n')
    status, text = told("gc", "bucket", "--older-than", "old")
    assert (status, text[:23]) == (2, "ossfs-up: --older-than:")
    status, text = told("spool", "list", "word")
    assert status == 2 and '"word"' in text
    where = mount.folder / "nowhere"
    assert told("spool", "list", "-o", f"spool={where}") == (
        0, f"nothing waits in {where}, which does not exist\n")


def test_an_empty_spool_is_told_with_its_place(make_mount, folder):
    mount = make_mount()
    (folder / "none").mkdir()
    empty = mount.run("spool", "list", f"-ospool={folder}/none").stdout
    assert empty == f"nothing waits in {folder}/none\n"
    done = mount.run("spool", "export", folder / "out", f"-ospool={mount.spool}", check=False)
    assert done.returncode == 1 and f"nothing waits in {mount.spool}" in done.stderr
