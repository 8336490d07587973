"""Where the keys of a running mount come from, how long they last, and what a failing refresh shows."""

import http.server
import json
import os
import signal
import threading
import time

import pytest

from ossup_testlib.server import KEY_ID, SECRET
from ossup_testlib.wait import wait_until

ROLE = "/latest/meta-data/ram/security-credentials/"


def iso(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class Metadata:
    """A metadata service that gives out tokens the server knows, until it is told to break."""

    def __init__(self, server, life):
        self.server, self.life = server, life
        self.broken = False
        self.given = 0
        metadata = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, status, text):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self):
                self.answer(200, "metadata-token")

            def do_GET(self):
                if metadata.broken:
                    self.answer(500, "out of order")
                elif self.path == ROLE:
                    self.answer(200, "the-role")
                else:
                    self.answer(200, metadata.new_set())

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.http.server_port}"

    def new_set(self):
        self.given += 1
        key, token = f"STS.{self.given}", f"token-{self.given}"
        expires = int(time.time()) + self.life
        self.server.control("POST", "add-credential", {
            "access_key": key, "secret": SECRET, "token": token, "expires": expires})
        return json.dumps({"Code": "Success", "AccessKeyId": key, "AccessKeySecret": SECRET,
                           "SecurityToken": token, "Expiration": iso(expires)})

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def make_metadata(server):
    made = []

    def make(life):
        made.append(Metadata(server, life))
        return made[-1]

    yield make
    for metadata in made:
        metadata.close()


def credentials(mount):
    return mount.status()["credentials"]


def test_a_role_is_refreshed_before_it_expires_and_status_tells_it(make_mount, make_metadata):
    metadata = make_metadata(life=10)
    mount = make_mount(ram_role="auto", metadata_endpoint=metadata.endpoint).start()
    first = credentials(mount)
    assert first["source"] == "ram_role auto"
    assert first["failures"] == 0 and first["error"] == ""
    assert first["fetched"] < first["expires"] <= first["fetched"] + 10

    def refreshed():
        os.listdir(mount.path)
        return credentials(mount)["expires"] > first["expires"]

    wait_until("a second set is there", refreshed)
    assert metadata.given >= 2
    assert "valid until" in mount.run("status", mount.path).stdout


def test_a_failing_refresh_shows_in_status_and_the_old_set_serves_on(make_mount, make_metadata):
    metadata = make_metadata(life=120)
    mount = make_mount(ram_role="auto", metadata_endpoint=metadata.endpoint).start()
    metadata.broken = True
    os.kill(mount.process.pid, signal.SIGHUP)
    told = wait_until("status tells it", lambda: credentials(mount)["failures"] and
                      credentials(mount))
    assert "HTTP 500" in told["error"], told
    assert told["expires"] > time.time()
    text = mount.run("status", mount.path).stdout
    assert "NOT REFRESHED" in text and "HTTP 500" in text
    (mount.path / "f").write_bytes(b"with the old set")
    mount.sync()
    metadata.broken = False
    os.kill(mount.process.pid, signal.SIGHUP)
    wait_until("status is clean", lambda: credentials(mount)["failures"] == 0)
    assert credentials(mount)["error"] == ""
    assert mount.log().count("credentials not refreshed") == 1


def test_a_program_gives_keys_and_a_refused_set_of_it_is_told(make_mount, folder, bucket):
    script = folder / "keys"
    answer = folder / "answer"
    script.write_text(f"#!/bin/sh\nexec cat {answer}\n")
    script.chmod(0o700)
    answer.write_text(json.dumps({"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET}))
    mount = make_mount(credential_process=str(script)).start()
    told = credentials(mount)
    assert told["source"].startswith("credential_process") and told["expires"] == 0
    answer.unlink()
    resumed = mount.run("spool", "resume", mount.path, check=False)
    assert resumed.returncode == 1 and "old keys" in resumed.stderr, resumed.stderr
    assert "credential_process" in credentials(mount)["error"]
    (mount.path / "f").write_bytes(b"x")
    mount.sync()
    assert bucket.get("f") == b"x"
