"""The harness itself: a harness that cannot fail proves nothing."""

import hashlib

import pytest

from ossup_testlib import OssError


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
