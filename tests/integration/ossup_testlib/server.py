"""The local OSS server of this build: tests/server/README.md tells its control path."""

import base64
import json
import os
import re
import signal
import subprocess
import urllib.request

from .bucket import Bucket
from .build import reports
from .wait import PATIENCE, wait_until

KEY_ID = "LTAI-integration"
SECRET = "integration-secret"  # noqa: S105 - of a server that lives for one test
REGION = "cn-hangzhou"


class Server:
    """Not started by its constructor."""

    def __init__(self, build, folder, buckets=("bucket",), arguments=()):
        self.build = build
        self.root = folder / "server"
        self.root.mkdir(parents=True)
        self.log_path = folder / "server.log"
        self.buckets = list(buckets)
        self.arguments = list(arguments)
        self.port = 0
        self.process = None

    # -- life --

    def command(self):
        line = [self.build.server, "--root", self.root, "--port", self.port, "--region", REGION]
        line += ["--access-key", KEY_ID, "--secret", SECRET]
        for bucket in self.buckets:
            line += ["--bucket", bucket]
        return [str(word) for word in line + self.arguments]

    def start(self):
        """Starts it, again on the same port if it had one."""
        with open(self.log_path, "ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.build.sanitizer_env()},
            )
        line = wait_until("the server listens", lambda: self._listening(begin))
        self.port = int(line.group(1))

    def _listening(self, begin):
        with open(self.log_path, "rb") as log:
            log.seek(begin)
            text = log.read().decode("utf-8", "replace")
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {text}")
        return re.search(r"^listening on http://127\.0\.0\.1:(\d+)$", text, re.MULTILINE)

    def stop(self):
        """Ends it in good order; an exit status that is not 0 fails the test."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            status = self.process.wait(PATIENCE)
            assert status == 0, f"the server ended with {status}, see {self.log_path}"

    def kill(self):
        """kill -9: connections break, and no new ones are taken until start()."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)

    def restart(self):
        self.kill()
        self.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, name=None):
        return Bucket(self.endpoint, name or self.buckets[0], KEY_ID, SECRET)

    # -- control --

    def control(self, method, command, value=None):
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(
            f"{self.endpoint}/-/control/{command}", data=body, method=method
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.read()

    def fault(self, operation, action, **rule):
        """One rule, e.g. fault("UploadPart", {"type": "status", "status": 503}, nth=3)."""
        return self.faults({"operation": operation, "action": action, **rule})

    def faults(self, rules):
        return json.loads(self.control("POST", "faults", rules))["ids"]

    def fault_state(self):
        return json.loads(self.control("GET", "faults"))

    def clear_faults(self):
        self.control("DELETE", "faults")

    def option(self, **values):
        """Switches: latency_ms=20, bandwidth_up=..., copy_size_limit=..."""
        self.control("POST", "option", {n.replace("_", "-"): v for n, v in values.items()})

    def put_behind(self, key, body, headers=None, bucket=None):
        """Changes an object without a request: nobody is told, nothing is logged."""
        self.control(
            "POST",
            "put-object",
            {
                "bucket": bucket or self.buckets[0],
                "key": key,
                "body": base64.b64encode(body).decode(),
                "headers": headers or {},
            },
        )

    # -- the request log --

    def log(self):
        """Finished requests in order; each is a dict with operation, key, status, range, ..."""
        return [json.loads(line) for line in self.control("GET", "log").splitlines()]

    def clear_log(self):
        self.control("DELETE", "log")

    def requests(self, *operations, key=None):
        """The log's requests of these operations (none: all), and of this key."""
        return [
            entry
            for entry in self.log()
            if (not operations or entry["operation"] in operations)
            and (key is None or entry["key"] == key)
        ]

    def counts(self):
        """How many of each operation were finished: {"PutObject": 3, ...}."""
        result = {}
        for entry in self.log():
            result[entry["operation"]] = result.get(entry["operation"], 0) + 1
        return result

    def sent_parts(self, key):
        """How often the bytes of each part came whole: {part number: times}."""
        result = {}
        for entry in self.requests("UploadPart", key=key):
            if entry["status"] == 200:
                result[entry["part"]] = result.get(entry["part"], 0) + 1
        return result

    def problems(self):
        """What its log says that it should not."""
        return reports([self.log_path])
