"""The build that is tested: OSSUP_BUILD_DIR, set by ctest."""

import os
import re
from pathlib import Path

SANITIZER = re.compile(
    rb"(ERROR|WARNING): (Address|Thread|Leak|Memory)Sanitizer|runtime error: |Assertion .* failed|"
    rb"^mutex of rank",
    re.MULTILINE,
)


def reports(paths):
    """A line for each of these files that holds a sanitizer's report or a failed assertion."""
    found = []
    for path in sorted(path for path in paths if path.exists()):
        match = SANITIZER.search(path.read_bytes())
        if match:
            found.append(f"{path}: {match.group(0).decode()}")
    return found


class Build:
    """
    sanitizer: "", "asan" or "tsan"
    reports:   a folder, the running test's own: where sanitizers write
    """

    def __init__(self, path=None):
        self.path = Path(path or os.environ["OSSUP_BUILD_DIR"]).resolve()
        cache = (self.path / "CMakeCache.txt").read_text(encoding="utf-8")
        self.sanitizer = re.search(r"^OSSUP_SANITIZE:STRING=(.*)$", cache, re.MULTILINE).group(1)
        self.reports = None

    def smaller(self, normal, sanitized):
        """A size or a count; for tests whose point does not depend on it, and that take long."""
        return sanitized if self.sanitizer else normal

    @property
    def program(self):
        return self._binary("ossfs-up")

    @property
    def server(self):
        return self._binary("tests/server/oss-local-server")

    def _binary(self, name):
        path = self.path / name
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(f"{path} is not built")
        return path

    def sanitizer_env(self):
        """For every process of ours: a report goes to .reports, and the process fails."""
        log = f"log_path={self.reports}/report:log_exe_name=1"
        return {
            "ASAN_OPTIONS": f"{log}:abort_on_error=0:exitcode=77:detect_leaks=1",
            "UBSAN_OPTIONS": f"{log}:print_stacktrace=1:halt_on_error=1:exitcode=77",
            "TSAN_OPTIONS": f"{log}:exitcode=77:second_deadlock_stack=1",
        }

    def sanitizer_reports(self):
        return reports(self.reports.iterdir())
