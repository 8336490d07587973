#!/usr/bin/env python3
"""The man page and --help name the same options: check_man.py OSSFS-UP MANPAGE"""

import re
import subprocess
import sys


def options_of_help(text):
    return set(re.findall(r"^  ([a-z_]+)=? ", text.split("Options after -o", 1)[1], re.M))


def options_of_man(text):
    section = text.split(".Sh OPTIONS", 1)[1].split(".Sh ", 1)[0]
    return set(re.findall(r"^\.It Cm ([a-z_]+)", section, re.M))


def differences(help_text, man_text):
    in_help, in_man = options_of_help(help_text), options_of_man(man_text)
    return sorted([f"{o}: not in the man page" for o in in_help - in_man] +
                  [f"{o}: not in --help" for o in in_man - in_help])


def main():
    # The check itself must be able to fail.
    assert differences("Options after -o\n  a= x\n  b x\n", ".Sh OPTIONS\n.It Cm a\n.Sh X\n") == [
        "b: not in the man page"]
    program, page = sys.argv[1:]
    help_text = subprocess.run([program, "--help"], check=True, capture_output=True,
                               text=True).stdout
    with open(page, encoding="utf-8") as f:
        found = differences(help_text, f.read())
    lint = subprocess.run(["mandoc", "-Tlint", page], capture_output=True, text=True).stdout
    found += [line for line in lint.splitlines() if "mandoc.db" not in line]
    print("\n".join(found) or "the same options in both")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
