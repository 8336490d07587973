"""clang-tidy over each file of a build once, as many at a time as there are processors, and after
what other tests do.

usage: check_tidy.py CLANG_TIDY BUILD [ARGUMENT...]   (arguments for clang-tidy)

A source that belongs to several targets is in the compile database several times, and clang-tidy
would look at it as often.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def main():
    os.nice(5)
    tidy, build, arguments = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    once = {command["file"]: command for command in reversed(commands)}
    folder = build / "tidy"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(list(once.values())), encoding="utf-8")

    def check(file):
        done = subprocess.run([tidy, "--quiet", "-p", folder, *arguments, file],
                              capture_output=True, text=True, check=False)
        return file, done.returncode, done.stdout + done.stderr

    dirty = 0
    largest_first = sorted(once, key=lambda file: -os.stat(file).st_size)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, status, said in pool.map(check, largest_first):
            if status != 0:
                dirty += 1
                print(f"{file}:\n{said}")
    print(f"{len(once)} files, {dirty} with findings")
    return dirty != 0 or not once


if __name__ == "__main__":
    sys.exit(main())
