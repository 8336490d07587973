"""
Upload of 1 GiB from memory-speed disk to the local server: `ossfs-up put` beside `curl --parallel`.

curl sends the same parts, as many at once, from files that were cut beforehand, to URLs that were
signed beforehand; Initiate and Complete are not in its time. They take turns; medians are compared.
"""

import base64
import hashlib
import hmac
import os
import random
import subprocess
import time
import urllib.parse
from xml.etree import ElementTree

from common import KEY_ID, MIB, ROUNDS, SECRET
from common import build_of_arguments, environment, machine, measure, median, workplace

SIZE, PART, THREADS = 1024 * MIB, 8 * MIB, 3


def make_source(folder):
    """The file, and its parts as files."""
    noise = random.Random(1).randbytes(PART + 4096)
    parts = folder / "parts"
    parts.mkdir()
    with open(folder / "source", "wb") as source:
        for number in range(1, SIZE // PART + 1):
            at = random.Random(number).randrange(4096)
            source.write(noise[at : at + PART])
            (parts / str(number)).write_bytes(noise[at : at + PART])
    return folder / "source", parts


def signed_url(server, key, upload_id, number):
    expires = str(int(time.time()) + 3600)
    resource = f"/bucket/{key}?partNumber={number}&uploadId={upload_id}"
    text = f"PUT\n\n\n{expires}\n{resource}"
    signature = base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha1).digest())
    query = {"OSSAccessKeyId": KEY_ID, "Expires": expires, "Signature": signature.decode()}
    return f"{server.endpoint}{resource}&{urllib.parse.urlencode(query)}"


def by_curl(folder, server, parts):
    """Return: the cost of sending the parts; the upload is aborted afterwards."""
    bucket = server.bucket()
    reply = bucket.request("POST", "curl", query={"uploads": ""})
    upload_id = ElementTree.fromstring(reply.body).findtext("{*}UploadId")
    count = SIZE // PART
    with open(folder / "curl.conf", "w", encoding="ascii") as conf:
        conf.write('fail\nheader = "Expect:"\n')
        for number in range(1, count + 1):
            conf.write(f'url = "{signed_url(server, "curl", upload_id, number)}"\n')
            conf.write(f'upload-file = "{parts / str(number)}"\noutput = "/dev/null"\n')
    cost = measure(["curl", "--parallel", "--parallel-max", THREADS, "-K", folder / "curl.conf"],
                   stderr=subprocess.DEVNULL)  # its meter
    sent = bucket.parts("curl", upload_id)
    if sent != {number: PART for number in range(1, count + 1)}:
        raise SystemExit(f"curl sent {len(sent)} parts of {count}")
    bucket.request("DELETE", "curl", query={"uploadId": upload_id})
    return cost


def by_put(build, folder, server, source):
    server.clear_log()
    cost = measure([build.program, "put", "-p", PART, "-t", THREADS, source, "oss://bucket/put"],
                   env=environment(server, folder))
    counts = server.counts()
    wanted = {"InitiateMultipartUpload": 1, "UploadPart": SIZE // PART,
              "CompleteMultipartUpload": 1}
    if counts != wanted:
        raise SystemExit(f"put made {counts}")
    server.bucket().delete("put")
    return cost


def main():
    build = build_of_arguments()
    with workplace(build) as (folder, server):
        source, parts = make_source(folder)
        by_put(build, folder, server, source)  # memory is there, programs are loaded
        by_curl(folder, server, parts)
        puts, curls = [], []
        for _ in range(ROUNDS):
            curls.append(by_curl(folder, server, parts))
            puts.append(by_put(build, folder, server, source))
    put, curl = median([c.wall for c in puts]), median([c.wall for c in curls])
    gib = SIZE / (1 << 30)
    print(f"upload of {SIZE // MIB} MiB from {os.path.dirname(folder)} to the local server,"
          f" parts of {PART // MIB} MiB, {THREADS} at once; median of {ROUNDS}; {machine()}\n")
    print("| | ossfs-up put | curl --parallel | ratio |\n|---|---|---|---|")
    print(f"| seconds | {put:.2f} | {curl:.2f} | {put / curl:.2f} (aim: at most 1.15) |")
    ours, theirs = (median([c.cpu for c in costs]) / gib for costs in (puts, curls))
    print(f"| CPU seconds per GiB | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |")
    ours, theirs = (max(c.peak for c in costs) / MIB for costs in (puts, curls))
    print(f"| peak memory, MiB | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
