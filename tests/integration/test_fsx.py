"""Random operations on one file (fsx.c), through remounts and kills, against their image."""

import subprocess

import pytest

from ossup_testlib.campaign import long_campaign

ENDS = ("close", "fsync", "torn")


class Fsx:
    def __init__(self, build, mount, bucket, folder, seed, size="524288"):
        self.program = build.path / "tests/integration/fsx"
        self.mount, self.bucket = mount, bucket
        self.file, self.image = mount.path / "file", folder / "image"
        self.history = ["--seed", str(seed), "--size", size]

    def _run(self, *words):
        command = [str(self.program), words[0], str(self.file), str(self.image), *words[1:]]
        done = subprocess.run(command, stderr=subprocess.PIPE, check=False, text=True)
        assert done.returncode == 0, done.stderr

    def operate(self, begin, end):
        self._run("run", *self.history, "--from", str(begin), "--to", str(end))

    def operate_and_kill(self, begin, end, how):
        """The daemon is killed while the file is open, after an fsync."""
        words = ["--from", str(begin), "--to", str(end), "--end", how]
        process = subprocess.Popen(
            [str(self.program), "run", str(self.file), str(self.image), *self.history, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            said = process.stdout.readline()
            self.mount.kill9()
            process.stdin.close()
            complaint = process.stderr.read()
        assert said == "ready\n", complaint

    def check(self):
        self._run("check")

    def check_bucket(self):
        self.mount.sync()
        assert self.bucket.get("file") == self.image.read_bytes()


OPTIONS = {
    "quiet": {"part_size": "100K"},
    "busy": {"part_size": "100K", "settle": "0", "open_flush": "1s", "attr_timeout": "1s"},
}


def run(fsx, mount, ops, rounds):
    """Each round ends in another way: unmounted, or killed in one of three states."""
    step = ops // rounds
    for number in range(rounds):
        begin, end = number * step, (number + 1) * step
        how = number % 4
        if how == 0:
            fsx.operate(begin, end)
            mount.umount()
            assert fsx.bucket.get("file") == fsx.image.read_bytes()
        elif how == 1:
            fsx.operate(begin, end)
            mount.kill9()
        else:
            fsx.operate_and_kill(begin, end, ENDS[how - 1])
        mount.start()
        fsx.check()
        if number % 2:
            fsx.check_bucket()
    fsx.check_bucket()
    assert fsx.bucket.uploads() == []


@pytest.mark.parametrize("options", OPTIONS)
def test_file_equals_its_image(build, make_mount, bucket, folder, options):
    mount = make_mount(**OPTIONS[options]).start()
    run(Fsx(build, mount, bucket, folder, seed=len(options)), mount, ops=5000, rounds=10)


@long_campaign
@pytest.mark.limit(3600)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", range(1000, 1005))
def test_long_histories(build, make_mount, bucket, folder, options, seed):
    mount = make_mount(**OPTIONS[options]).start()
    fsx = Fsx(build, mount, bucket, folder, seed, size="2000000" if seed % 2 else "524288")
    run(fsx, mount, ops=10_000, rounds=50)
