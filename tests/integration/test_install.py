"""What cmake --install and the Debian package put where, and that mount(8) finds its helper there."""

import os
import re
import shutil
import subprocess

import pytest

from ossup_testlib import unmount
from ossup_testlib.server import KEY_ID, REGION, SECRET
from ossup_testlib.wait import PATIENCE, wait_until

FILES = {
    "bin/ossfs-up",
    "sbin/mount.fuse.ossfs-up",
    "sbin/mount.ossfs-up",
    "share/man/man1/ossfs-up.1",
    "lib/systemd/system/ossfs-up@.service",
    "share/doc/ossfs-up/README.md",
    "share/doc/ossfs-up/LICENSE",
    "include/ossup/ossup.h",
}


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=PATIENCE, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def prefix(build, folder):
    run("cmake", "--install", build.path, "--prefix", folder / "prefix",
        env={n: v for n, v in os.environ.items() if n != "DESTDIR"})
    return folder / "prefix"


def test_everything_is_installed(prefix):
    for name in FILES:
        assert (prefix / name).exists(), name
    unit = (prefix / "lib/systemd/system/ossfs-up@.service").read_text()
    assert "Type=forking\nExecStart=ossfs-up %f\n" in unit


def helper_environment(build, folder):
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("OSS_", "ALIBABA_"))}
    return {**clean, **build.sanitizer_env(), "HOME": str(folder),
            "OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": SECRET}


def test_a_line_of_fstab_mounts_by_the_helper(prefix, build, folder, server, bucket):
    path = folder / "mnt"
    path.mkdir()
    options = (f"rw,nosuid,nodev,relatime,_netdev,nofail,noauto,x-systemd.automount,"
               f"endpoint={server.endpoint},region={REGION},spool={folder}/spool,spool_reserve=0")
    helper = prefix / "sbin/mount.fuse.ossfs-up"
    words = [helper, "bucket", path, "-o", options, "-t", "fuse.ossfs-up"]
    run(*words, "-f", env=helper_environment(build, folder))  # mount --fake
    assert not os.path.ismount(path)
    run(*words, env=helper_environment(build, folder))
    try:
        with open("/proc/self/mounts", encoding="utf-8") as table:
            line = next(line for line in table if f" {path} " in line)
        assert line.startswith(f"bucket {path} fuse.ossfs-up ")
        (path / "f").write_bytes(b"by the helper")
        pid = int(re.search(r"process (\d+)", run(prefix / "bin/ossfs-up", "status", path))[1])
    finally:
        unmount(path)
    wait_until("the daemon has drained and ended", lambda: not os.path.exists(f"/proc/{pid}"))
    assert bucket.get("f") == b"by the helper"


def test_a_bucket_may_be_called_like_a_command(prefix, build, folder, make_server):
    server = make_server(buckets=["status"])
    path = folder / "mnt"
    path.mkdir()
    run(prefix / "sbin/mount.ossfs-up", "status", path, "-o",
        f"endpoint={server.endpoint},region={REGION},spool={folder}/spool,spool_reserve=0",
        env=helper_environment(build, folder))
    assert os.path.ismount(path)
    pid = int(re.search(r"process (\d+)", run(prefix / "bin/ossfs-up", "status", path))[1])
    unmount(path)
    wait_until("the daemon has ended", lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_has_nothing_to_say_about_the_unit(prefix, folder):
    unit = (prefix / "lib/systemd/system/ossfs-up@.service").read_text()
    copy = folder / "ossfs-up@.service"
    text = unit.replace("ExecStart=ossfs-up ", f"ExecStart={prefix}/bin/ossfs-up ")

    def verify(text):
        copy.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], timeout=PATIENCE,
                              capture_output=True, text=True, check=False)
        return done.returncode, [line for line in done.stderr.splitlines() if copy.name in line]

    assert verify(text) == (0, [])
    assert "Restrt" in "".join(verify(text.replace("Restart=", "Restrt="))[1])  # it can fail


@pytest.mark.skipif(not shutil.which("dpkg-deb") or not shutil.which("dpkg-shlibdeps"),
                    reason="needs dpkg-deb and dpkg-shlibdeps")
def test_the_debian_package_is_installable_and_whole(build, folder):
    if build.sanitizer:
        pytest.skip("nobody packages a sanitizer build")
    run("cpack", "-G", "DEB", "-B", folder / "out", cwd=build.path)
    package = next((folder / "out").glob("ossfs-up_*.deb"))
    fields = run("dpkg-deb", "--field", package)
    assert "fuse3" in fields and "libcurl4" in fields and "libfuse3" in fields
    listed = {line.split()[5].removeprefix("./usr/")
              for line in run("dpkg-deb", "--contents", package).splitlines()}
    assert FILES <= listed, FILES - listed
    assert any(re.fullmatch(r"lib/.*libossup\.so\.[0-9.]+|lib/libossup\.so\.[0-9.]+", name)
               for name in listed)
    run("dpkg-deb", "--extract", package, folder / "root")
    helper = folder / "root/usr/sbin/mount.fuse.ossfs-up"
    assert helper.resolve() == (folder / "root/usr/bin/ossfs-up").resolve()
    assert run(folder / "root/usr/bin/ossfs-up", "--version").startswith("ossfs-up ")


@pytest.mark.skipif(not shutil.which("rpmbuild"), reason="needs rpmbuild")
def test_the_rpm_package_is_installable_and_whole(build, folder):
    if build.sanitizer:
        pytest.skip("nobody packages a sanitizer build")
    run("cpack", "-G", "RPM", "-B", folder / "out", cwd=build.path)
    package = next((folder / "out").glob("ossfs-up-*.rpm"))
    needed = run("rpm", "-qp", "--requires", package)
    assert re.search(r"^fuse3$", needed, re.M)
    assert "libcurl.so.4" in needed and "libfuse3.so.3" in needed and "libossup" not in needed
    listed = set(run("rpm", "-qpl", package).splitlines())
    assert {f"/usr/{name}" for name in FILES} <= listed
    own = [run("rpm", "-qp", "--queryformat", f"%{{{tag}}}", package)
           for tag in ("LICENSE", "SUMMARY", "VENDOR")]
    assert own[0] == "Apache-2.0" and "OSS" in own[1] and own[2] == "ossfs-up"
    folders = {"/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/share/man/man1",
               "/usr/share/man", "/usr/lib/systemd/system", "/usr/lib/cmake", "/usr/lib/.build-id"}
    assert not folders & listed  # they belong to others
    run("rpm2archive", package)  # beside it, as .tgz
    (folder / "root").mkdir()
    run("tar", "-xzf", f"{package}.tgz", "-C", folder / "root")
    helper = folder / "root/usr/sbin/mount.fuse.ossfs-up"
    assert helper.resolve() == (folder / "root/usr/bin/ossfs-up").resolve()
    assert run(folder / "root/usr/bin/ossfs-up", "--version").startswith("ossfs-up ")
