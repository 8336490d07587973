#!/usr/bin/env python3
"""The man page says what the program does: check_man.py OSSFS-UP MANPAGE

Options and defaults are those of --help; codes, errnos and verdicts are those of src/oss/errors.c.
"""

import re
import subprocess
import sys
from pathlib import Path

ERRORS = Path(__file__).resolve().parents[2] / "src/oss/errors.c"
VERDICTS = {
    "tried again": "OSS_RETRY",
    "tried again, more slowly": "OSS_THROTTLE",
    "tried again with new credentials": "OSS_REFRESH",
    "not tried again": "OSS_FINAL",
}


def options_of_help(text):
    return set(re.findall(r"^  ([a-z_]+)=? ", text.split("Options after -o", 1)[1], re.M))


def options_of_man(text):
    section = text.split(".Sh OPTIONS", 1)[1].split(".Sh ", 1)[0]
    return set(re.findall(r"^\.It Cm ([a-z_]+)", section, re.M))


def defaults_of_help(text):
    return dict(re.findall(r"^  ([a-z_]+)=? .*\[([^\]]*)\]$", text, re.M))


def defaults_of_man(text):
    section = text.split(".Sh OPTIONS", 1)[1].split(".Sh ", 1)[0]
    return dict(re.findall(r"^\.It Cm ([a-z_]+)(?:(?!^\.It ).*\n)*?^Default: (.*)\.$", section, re.M))


def errors_of_source(text):
    """{"NoSuchKey" or "HTTP 404": (errno, verdict)}"""
    codes = {"OSS_CODE_BAD_REPLY": "BadReply", "OSS_CODE_CRC_MISMATCH": "CrcMismatch"}
    found = re.findall(r'\{("?\w+"?), (E\w+), (OSS_\w+)\}', text)
    return {codes.get(code, f"HTTP {code}" if code.isdigit() else code.strip('"')): (errno, verdict)
            for code, errno, verdict in found}


def errors_of_man(text):
    section = text.split(".Sh ERRORS OF OSS", 1)[1].split(".Sh ", 1)[0]
    table = {}
    for item in re.findall(r"^\.It Er .*\n(?:(?!\.It |\.El).*\n)*", section, re.M):
        errno, words = re.match(r"\.It Er (\w+) Pq (.*)\n", item).groups()
        for code in re.findall(r"^\.Li (.*) [,:]$", item, re.M):
            table[code.strip('"')] = (errno, VERDICTS[words])
    return table


def compare(what, program, page):
    return [f"{what} {name}: {program.get(name, 'not in the program')}, "
            f"the man page says {page.get(name, 'nothing')}"
            for name in sorted(program.keys() | page.keys())
            if program.get(name) != page.get(name)]


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
        man_text = f.read()
    found = differences(help_text, man_text)
    found += compare("default of", defaults_of_help(help_text), defaults_of_man(man_text))
    errors = errors_of_source(ERRORS.read_text(encoding="utf-8"))
    assert len(errors) > 80, "the table in errors.c is not found"
    found += compare("error", errors, errors_of_man(man_text))
    lint = subprocess.run(["mandoc", "-Tlint", page], capture_output=True, text=True).stdout
    # Which other pages this machine has is not the page's fault.
    found += [line for line in lint.splitlines()
              if "mandoc.db" not in line and "referenced manual not found" not in line]
    print("\n".join(found) or "the same options in both")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
