"""libossup as others get it: installed, found by pkg-config and CMake, in C and in C++."""

import os
import random
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from ossup_testlib.put import Put
from ossup_testlib.server import KEY_ID, REGION, SECRET
from ossup_testlib.wait import PATIENCE, wait_until

HERE = Path(__file__).parent / "library"
PART = 100 << 10
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=PATIENCE, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Installed:
    """The library in a prefix of its own, and programs that use it."""

    def __init__(self, build, folder, server):
        self.prefix, self.folder, self.server = folder / "prefix", folder, server
        for component in ("library", "development"):
            run("cmake", "--install", build.path, "--prefix", self.prefix, "--component", component)
        self.lib = next(self.prefix.glob("**/libossup.a")).parent
        self.flags = {"": [], "asan": ["-fsanitize=address,undefined"],
                      "tsan": ["-fsanitize=thread"]}[build.sanitizer]
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("OSS_", "ALIBABA_"))}
        self.env = {
            **clean,
            **build.sanitizer_env(),
            "HOME": str(folder),
            "LD_LIBRARY_PATH": str(self.lib),
            "PKG_CONFIG_PATH": str(self.lib / "pkgconfig"),
            "OSS_ACCESS_KEY_ID": KEY_ID, "OSS_ACCESS_KEY_SECRET": SECRET, "OSS_REGION": REGION,
        }

    def pkg_config(self, *words):
        return shlex.split(run("pkg-config", *words, "ossup", env=self.env))

    def compile(self, source, compiler="cc", static=False, flags=()):
        program = self.folder / (Path(source).stem + ("-static" if static else ""))
        libs = self.pkg_config("--libs")
        if static:  # libossup.a alone; what it needs stays shared
            needed = self.pkg_config("--print-requires-private")
            libs = [self.lib / "libossup.a", "-pthread",
                    *shlex.split(run("pkg-config", "--libs", *needed))]
        run(compiler, *WARNINGS, *self.flags, *flags, HERE / source, "-o", program,
            *self.pkg_config("--cflags"), *libs)
        return program


@pytest.fixture
def installed(build, folder, server):
    return Installed(build, folder, server)


@pytest.fixture
def path(folder):
    path = folder / "file"
    path.write_bytes(random.Random(1).randbytes(7 * PART + 3))
    return path


def defined(*words):
    return {line.split()[-1].split("@")[0] for line in run("nm", *words).splitlines()
            if len(line.split()) == 3 and line.split()[1] != "A"}


def test_only_the_api_is_visible(installed):
    header = (installed.prefix / "include/ossup/ossup.h").read_text()
    api = set(re.findall(r"^OSSUP_API .*?(ossup_\w+)\(", header, re.M))
    assert len(api) == 6
    assert defined("-D", "--defined-only", installed.lib / "libossup.so") == api
    assert defined("-g", "--defined-only", installed.lib / "libossup.a") == api
    dynamic = run("readelf", "-dV", installed.lib / "libossup.so")
    assert "[libossup.so.0]" in dynamic and "OSSUP_0.1" in dynamic


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
def test_example_uploads_and_goes_on(installed, server, bucket, path, static):
    program = installed.compile("example_upload.c", static=static)
    words = [program, server.endpoint, "bucket", "key", path, str(PART)]
    server.fault("UploadPart", {"type": "stall"}, **{"from": 4})
    process = subprocess.Popen(words, env=installed.env, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    wait_until("3 parts are there, and 3 are held",
               lambda: len(server.requests("UploadPart")) == 3 and
               server.fault_state()[0]["acted"] == 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("Canceled: upload key: canceled; its checkpoint was")
    server.clear_faults()
    out = run(*words, env=installed.env)
    assert bucket.get("key") == path.read_bytes()
    assert f"resumed={3 * PART} " in out
    assert bucket.uploads() == []
    assert [p for p in path.parent.iterdir() if p.name.endswith(".ossup-ckpt")] == []


def test_put_and_the_library_share_checkpoints(build, installed, server, bucket, folder, path):
    program = installed.compile("example_upload.c")
    server.fault("UploadPart", {"type": "stall"}, **{"from": 4})
    process = subprocess.Popen([program, server.endpoint, "bucket", "key", path, str(PART)],
                               env=installed.env, stderr=subprocess.DEVNULL)
    wait_until("3 parts are there", lambda: len(server.requests("UploadPart")) >= 3)
    process.kill()
    process.wait(PATIENCE)
    server.clear_faults()
    put = Put(build, server, folder)
    assert "by an earlier run" in put.ok("-v", path, "oss://bucket/key")
    assert bucket.get("key") == path.read_bytes()


def test_api(installed, server, bucket, folder, path):
    program = installed.compile("api_checks.c", flags=["-pthread"])
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    env = {**installed.env, "TEST_KEY_ID": KEY_ID, "TEST_SECRET": SECRET,
           "TEST_CHECKPOINT_DIR": str(elsewhere)}
    done = subprocess.run([program, server.endpoint, path], env=env, capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wanted = ["headers", "resumed", "short"] + [f"many{n}" for n in range(1, 7)]
    assert bucket.keys() == sorted(wanted)
    for key in wanted:
        assert bucket.get(key) == path.read_bytes()
    assert bucket.meta("headers") == {"color": "blue"}
    head = bucket.head("headers")
    assert (head["content-type"], head["cache-control"]) == ("text/x-test", "no-cache")
    assert head["x-oss-storage-class"] == "IA"


def test_the_example_of_the_readme(installed, server, bucket, folder, path):
    readme = (HERE.parents[2] / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```c\n(.*?)```", readme, re.DOTALL)
    for told, here in [("oss-cn-hangzhou.aliyuncs.com", server.endpoint), ("my-bucket", "bucket"),
                       ("/srv/backup.tar", str(path))]:
        assert told in code
        code = code.replace(told, here)
    (folder / "readme.c").write_text(code)
    run(installed.compile(folder / "readme.c"), env=installed.env)
    assert bucket.get("backup.tar") == path.read_bytes()


def test_strict_c_and_cxx(installed):
    assert run(installed.compile("include.cc", "c++", flags=["-std=c++11"]),
               env=installed.env) == ""
    installed.compile("example_upload.c", flags=["-std=c99", "-D_POSIX_C_SOURCE=200809L"])


def test_cmake_package(installed, server, bucket, folder, path):
    build = folder / "consumer"
    flags = " ".join(installed.flags)
    run("cmake", "-G", "Ninja", "-S", HERE / "consumer", "-B", build, "-D",
        f"CMAKE_PREFIX_PATH={installed.prefix}", "-D", f"CMAKE_C_FLAGS={flags}", env=installed.env)
    run("cmake", "--build", build, env=installed.env)
    for program in ("shared", "static"):
        run(build / program, server.endpoint, "bucket", program, path, env=installed.env)
        assert bucket.get(program) == path.read_bytes()
