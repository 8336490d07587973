"""The harness itself: a harness that cannot fail proves nothing."""

import hashlib
import os
import subprocess

import pytest

from ossup_testlib import OssError

FAULTY = {
    "leak": ("address", "void *volatile p; int main() { p = malloc(9); p = NULL; return 0; }"),
    "use-after-free": ("address", "int main() { char *p = malloc(9); free(p); return *p; }"),
    "overflow": ("undefined", "int main(int argc, char **v) { return argc + INT_MAX == 0 && v; }"),
    "race": ("thread", "int n; void *run(void *p) { n++; return p; } int main() { pthread_t t; "
             "pthread_create(&t, NULL, run, NULL); n++; return pthread_join(t, NULL); }"),
}


def test_client_and_server_agree(server, bucket):
    assert bucket.get("no such") is None
    assert bucket.head("no such") is None
    bucket.put("a/b c+ü.txt", b"text", {"x-oss-meta-mode": "33188"})
    assert bucket.get("a/b c+ü.txt") == b"text"
    assert bucket.meta("a/b c+ü.txt") == {"mode": "33188"}
    assert bucket.list() == {"a/b c+ü.txt": (4, hashlib.md5(b"text").hexdigest().upper())}
    bucket.delete("a/b c+ü.txt")
    assert bucket.keys() == []
    assert bucket.uploads() == []


def test_listings_are_read_to_their_end(server, bucket):
    server.option(list_short_pages=2)
    for number in range(7):
        bucket.put(f"k{number}", b"")
    assert len(bucket.list()) == 7


def test_wrong_secret_is_refused(server, bucket):
    bucket.secret = "wrong"
    with pytest.raises(OssError) as caught:
        bucket.put("k", b"")
    assert caught.value.code == "SignatureDoesNotMatch"


def test_log_and_faults(server, bucket):
    bucket.put("k", b"1")
    server.clear_log()
    server.fault("PutObject", {"type": "status", "status": 503, "code": "SlowDown"}, nth=1)
    with pytest.raises(OssError):
        bucket.put("k", b"2")
    assert [(e["operation"], e["status"]) for e in server.log()] == [("PutObject", 503)]
    bucket.put("k", b"3")
    assert server.counts() == {"PutObject": 2}
    assert bucket.get("k") == b"3"


def test_server_keeps_port_and_objects_over_kill(server, bucket):
    bucket.put("k", b"kept")
    port = server.port
    server.restart()
    assert server.port == port
    assert bucket.get("k") == b"kept"


def test_a_mount_whose_path_has_blanks_is_seen(make_mount, folder):
    mount = make_mount(name="a b\tc\\d", spool=folder / "spool").start()
    mount.umount()
    assert not mount.is_mounted()


@pytest.mark.parametrize("fault", FAULTY)
def test_a_sanitizer_report_is_found(build, folder, running, fault):
    """`running` asks the same of what a test started, and fails it."""
    sanitizer, code = FAULTY[fault]
    source, program = folder / "faulty.c", folder / "faulty"
    source.write_text(f"#include <limits.h>\n#include <pthread.h>\n#include <stdlib.h>\n{code}\n")
    subprocess.run(["cc", "-w", f"-fsanitize={sanitizer}", "-o", program, source], check=True)
    env = {**os.environ, **build.sanitizer_env()}
    assert subprocess.run([program], env=env, check=False).returncode == 77
    found = build.sanitizer_reports()
    assert len(found) == 1
    assert str(build.reports) in found[0]
    for path in build.reports.iterdir():
        path.unlink()
