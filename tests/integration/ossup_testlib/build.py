"""The build that is tested: OSSUP_BUILD_DIR, set by ctest."""

import os
from pathlib import Path


class Build:
    def __init__(self, path=None):
        self.path = Path(path or os.environ["OSSUP_BUILD_DIR"]).resolve()

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

    def sanitizer_env(self, log):
        """For every process of ours: reports go to the log's folder and the process fails."""
        return {
            "ASAN_OPTIONS": f"log_path={log}.asan:abort_on_error=0:exitcode=77",
            "UBSAN_OPTIONS": f"log_path={log}.ubsan:print_stacktrace=1",
            "TSAN_OPTIONS": f"log_path={log}.tsan:exitcode=77:second_deadlock_stack=1",
        }
