"""A mount while the service is difficult: tokens that end, clocks that differ, throttling."""

import collections
import os
import time

import pytest

from ossup_testlib.wait import wait_until

PART = 100 << 10
PARTS = 64


def test_a_token_that_ends_in_the_middle_of_an_upload_costs_no_part(
        make_mount, server, bucket, folder):
    script = folder / "keys"
    answer = folder / "answer"

    def give(number):
        credential = {"access_key": f"STS.{number}", "secret": "s", "token": f"token-{number}"}
        server.control("POST", "add-credential", credential)
        text = (f'{{"AccessKeyId":"STS.{number}","AccessKeySecret":"s",'
                f'"SecurityToken":"token-{number}"}}')
        (folder / "new").write_text(text)
        os.replace(folder / "new", answer)

    script.write_text(f"#!/bin/sh\nexec cat {answer}\n")
    script.chmod(0o700)
    give(1)
    mount = make_mount(credential_process=str(script), part_size="100K", early="off").start()
    server.fault("UploadPart", {"type": "stall", "until": "cleared"}, **{"from": 11})
    body = os.urandom(PART * PARTS)
    (mount.path / "f").write_bytes(body)
    wait_until("some parts are there", lambda: server.fault_state()[0]["acted"])
    give(2)
    server.control("POST", "expire-token", {"token": "token-1"})
    server.clear_faults()
    mount.sync()
    assert bucket.get("f") == body
    sent = server.requests("UploadPart")
    done = collections.Counter(one["part"] for one in sent if one["status"] == 200)
    assert done == {number: 1 for number in range(1, PARTS + 1)}
    refused = [one for one in server.log() if one["code"] in ("SecurityTokenExpired",
                                                              "InvalidAccessKeyId")]
    assert 1 <= len(refused) <= 4  # those in flight
    assert server.counts()["InitiateMultipartUpload"] == 1


@pytest.mark.parametrize("offset", [1200, -1200])
def test_a_clock_that_is_20_minutes_wrong_does_not_matter(make_mount, server, offset):
    server.control("POST", "time", {"offset": offset})
    mount = make_mount(part_size="100K").start()
    body = os.urandom(3 * PART)
    (mount.path / "f").write_bytes(body)
    mount.sync()
    assert (mount.path / "f").read_bytes() == body
    assert abs(mount.status()["requests"]["clock_offset_s"] - offset) < 10
    refused = [one for one in server.log() if one["code"] == "RequestTimeTooSkewed"]
    assert 1 <= len(refused) <= 16  # what was in flight when it was learnt
    server.control("POST", "time", {"offset": 0})


def test_a_storm_of_503_narrows_what_is_in_flight_and_it_recovers(make_mount, server, bucket):
    mount = make_mount(connections="16").start()

    def allowed():
        return mount.status()["requests"]["connections_allowed"]

    server.fault("PutObject", {"type": "status", "status": 503, "code": "QpsLimitExceeded"})
    for i in range(200):
        (mount.path / f"f{i}").write_bytes(b"%d" % i)
    wait_until("half of them are allowed at most", lambda: allowed() <= 8)
    assert mount.status()["requests"]["throttled"] > 0
    server.clear_faults()
    server.option(qps=40)
    mount.sync()
    server.option(qps=0)

    def recovered():
        for i in range(40):
            (mount.path / f"g{i}").write_bytes(b"%f" % time.time())
        mount.sync()
        return allowed() == 16

    wait_until("all connections are allowed again", recovered)
    assert {key: bucket.get(key) for key in bucket.keys() if key.startswith("f")} == {
        f"f{i}": b"%d" % i for i in range(200)}
