"""Fixtures of the integration tests; README.md beside this file is their manual."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ossup_testlib import Build, Mount, Server  # noqa: E402

LIMIT = 150  # seconds a test may take, unless it is marked limit(SECONDS)


def pytest_configure(config):
    # A shell has its background processes ignore it, and all that these start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "limit(seconds): how long the test may take")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, f"report_{report.when}", report)


def failed(request):
    report = getattr(request.node, "report_call", None)
    return report is None or report.failed


@pytest.fixture(scope="session")
def build():
    return Build()


@pytest.fixture
def folder(request, build):
    """A folder of the test's own; kept when the test fails."""
    base = Path(os.environ.get("OSSUP_TEST_DIR", build.path / "integration"))
    base.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]", "_", request.node.name)[:60]  # it goes into sanitizers' options
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
    build.reports = path / "reports"
    build.reports.mkdir()
    yield path
    if not failed(request) and not getattr(request.node, "problems", None):
        shutil.rmtree(path)


@pytest.fixture
def running(request, build, folder):
    """Everything the test started: ended in good order if it passed, by force in any case."""
    things = []
    yield things
    problems = []
    for thing in reversed(things):
        if not failed(request):
            try:
                thing.end()
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                problems.append(f"end: {error}")
        thing.force()
    for thing in things:
        problems += thing.problems()
    problems += build.sanitizer_reports()
    request.node.problems = problems
    if problems or failed(request):
        print(f"\nkept: {folder}")
        for thing in things:
            print(thing.hint())
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


class Started:
    """What `running` has to do with a server or a mount."""

    def __init__(self, end, force, problems, hint):
        self.end, self.force, self.problems, self.hint = end, force, problems, hint


@pytest.fixture
def make_server(build, folder, running):
    def make(**options):
        server = Server(build, folder / f"s{len(running)}", **options)
        running.append(Started(server.stop, server.kill, server.problems, lambda: ""))
        server.start()
        return server

    return make


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def bucket(server):
    """An independent client of the server's bucket."""
    return server.bucket()


@pytest.fixture
def make_mount(build, server, folder, running):
    """make_mount(name="second", settle="1s", ...): a Mount, not started."""

    def make(**options):
        mount = Mount(build, options.pop("server", server), folder, **options)
        running.append(Started(mount.finish, mount.destroy, mount.problems, mount.repro))
        return mount

    return make


@pytest.fixture
def mount(make_mount):
    """A mount with the options that suit most tests, started."""
    return make_mount().start()


class TookTooLong(Exception):
    pass


@pytest.fixture(autouse=True)
def limit(request, running):
    """Ends a test that hangs, also in a system call on the mount: its daemons are killed."""
    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT

    def ring(*_):
        for thing in running:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                thing.force()
        raise TookTooLong(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
