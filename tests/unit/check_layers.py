#!/usr/bin/env python3
"""Layer order: reads all includes of src/ and fails if one points left.

cli -> fs -> spool -> transfer -> oss -> base. A foreign library is included by
the one file or folder that wraps it. Before it judges the real tree it must
catch each kind of breach in a made-up one.
"""
import re
import sys
import tempfile
from pathlib import Path

LAYERS = ["cli", "fs", "spool", "transfer", "oss", "base"]

# header -> the files that may include it; one of ours that does counts as that header
FOREIGN = [
    (r"curl/", r"src/oss/http[^/]*\.c|src/oss/http_[^/]*\.h"),
    (r"libxml/", r"src/oss/xml[^/]*\.c|src/oss/xml_[^/]*\.h"),
    (r"(fuse3?/|fuse[_a-z]*\.h|cuse_)", r"src/fs/[^/]+"),
    (r"(json-c/|json\.h)", r"src/base/json\.c"),
    (r"lzma", r"src/base/crc64\.c"),
    (r"ini\.h", r"src/base/ini\.c"),
    (r"openssl/", r"src/oss/[^/]+"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def layer_breach(layer, header):
    """What is wrong with #include "header" in a file of layer; None if nothing."""
    target = header.split("/")[0]
    if target == "ossup":
        return None
    if "/" not in header or target not in LAYERS:
        return "is not named by its layer"
    if LAYERS.index(target) < LAYERS.index(layer):
        return f"points left: {layer} is to the right of {target}"
    return None


def foreign_breach(file, header):
    for pattern, allowed in FOREIGN:
        if re.match(pattern, header) and not re.fullmatch(allowed, file):
            return f"belongs to {allowed}"
    return None


def read_includes(root):
    """[(file, layer, mark, header)] of all of src/"""
    found = []
    for path in sorted((root / "src").glob("*/*.[ch]")):
        for mark, header in INCLUDE.findall(path.read_text(encoding="utf-8")):
            found.append((path.relative_to(root).as_posix(), path.parent.name, mark, header))
    return found


def private_headers(includes):
    """{header of ours: files that may include it}, for those that include a foreign one"""
    found = {}
    for file, _, mark, header in includes:
        for pattern, allowed in FOREIGN:
            if mark == "<" and file.endswith(".h") and re.match(pattern, header):
                found[file.removeprefix("src/")] = allowed
    return found


def breaches(root):
    found = []
    includes = read_includes(root)
    private = private_headers(includes)
    for file, layer, mark, header in includes:
        if layer not in LAYERS:
            what = f"is in src/{layer}, which is no layer"
        elif mark == "<":
            what = foreign_breach(file, header)
        elif header in private and not re.fullmatch(private[header], file):
            what = f"brings a foreign library's types; it belongs to {private[header]}"
        else:
            what = layer_breach(layer, header)
        if what:
            found.append(f"{file}: #include {header} {what}")
    for path in sorted((root / "include").glob("**/*.h")):
        for mark, header in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if mark == '"' and not header.startswith("ossup/"):
                found.append(f"{path.relative_to(root).as_posix()}: #include {header} is not public")
    return found


def must_catch():
    """(file, its text, whether that is a breach)"""
    return [
        ("src/oss/a.c", '#include "base/error.h"\n#include "oss/b.h"\n', False),
        ("src/oss/b.c", '#include "transfer/engine.h"\n', True),
        ("src/base/c.h", '  #  include "fs/fs.h"\n', True),
        ("src/fs/d.c", '#include "fs.h"\n', True),
        ("src/fs/e.c", "#include <fuse_lowlevel.h>\n#include <stdio.h>\n", False),
        ("src/spool/f.c", "#include <fuse3/fuse.h>\n", True),
        ("src/oss/http_pool.c", "#include <curl/curl.h>\n", False),
        ("src/oss/http.h", "#include <curl/curl.h>\n", True),
        ("src/oss/http_easy.h", "#include <curl/curl.h>\n", False),
        ("src/oss/http_easy.c", '#include "oss/http_easy.h"\n', False),
        ("src/oss/client.c", '#include "oss/http_easy.h"\n', True),
        ("src/fs/ops.h", "#include <fuse_lowlevel.h>\n", False),
        ("src/cli/mount.c", '#include "fs/ops.h"\n', True),
        ("src/oss/sign.c", "#include <libxml/tree.h>\n", True),
        ("src/cli/g.c", '#include <json.h>\n', True),
        ("src/base/json.c", "#include <json.h>\n", False),
        ("src/base/h.c", "#include <lzma.h>\n", True),
        ("src/base/i.c", "#include <openssl/evp.h>\n", True),
        ("src/extra/j.c", '#include "base/error.h"\n', True),
        ("include/ossup/k.h", '#include "transfer/engine.h"\n', True),
    ]


def prove_itself():
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for file, text, _ in must_catch():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(text, encoding="utf-8")
        caught = {line.split(":")[0] for line in breaches(root)}
    wanted = {file for file, _, breach in must_catch() if breach}
    if caught != wanted:
        sys.exit(f"this check is broken: missed {wanted - caught}, wrongly found {caught - wanted}")


def main():
    prove_itself()
    found = breaches(Path(sys.argv[1]))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
