"""What a request may look like, word by word, and who signed it (protocol sections 1 to 5)."""

import base64
import datetime
import email.utils
import hashlib
import hmac
import re
import urllib.parse

REGION = "cn-hangzhou"
SKEW = 900  # seconds
META_MAX = 8192
COMMON = """host date x-oss-date authorization x-oss-security-token x-oss-content-sha256
    content-length user-agent x-oss-request-payer"""
USER = """content-type cache-control content-disposition content-encoding expires
    x-oss-storage-class x-oss-server-side-encryption x-oss-server-side-encryption-key-id
    x-oss-forbid-overwrite x-oss-meta-"""
SOURCE = "x-oss-copy-source x-oss-copy-source-if-match"
# operation: parameters, headers
OPERATIONS = {
    "ListObjectsV2": (
        """list-type prefix delimiter start-after continuation-token max-keys encoding-type
        fetch-owner""",
        "",
    ),
    "ListObjects": ("prefix delimiter marker max-keys encoding-type", ""),
    "GetBucketInfo": ("bucketInfo", ""),
    "ListMultipartUploads": (
        "uploads prefix delimiter key-marker upload-id-marker max-uploads encoding-type",
        "",
    ),
    "DeleteMultipleObjects": ("delete encoding-type", "content-type content-md5"),
    "ListParts": ("uploadId max-parts part-number-marker encoding-type", ""),
    "GetObject": ("", "range x-oss-range-behavior if-match x-oss-traffic-limit"),
    "HeadObject": ("", "if-match"),
    "PutObject": ("", f"{USER} content-md5 x-oss-traffic-limit"),
    "CopyObject": ("", f"{USER} {SOURCE} x-oss-metadata-directive x-oss-traffic-limit"),
    "DeleteObject": ("", ""),
    "InitiateMultipartUpload": ("uploads encoding-type", USER),
    "UploadPart": ("partNumber uploadId", "content-type content-md5 x-oss-traffic-limit"),
    "UploadPartCopy": (
        "partNumber uploadId",
        f"content-type {SOURCE} x-oss-copy-source-range x-oss-traffic-limit",
    ),
    "CompleteMultipartUpload": (
        "uploadId encoding-type",
        "content-type x-oss-forbid-overwrite",
    ),
    "AbortMultipartUpload": ("uploadId", ""),
}
# method, is it about a key, the parameter that decides: operation
DECIDERS = [
    ("GET", False, "list-type", "ListObjectsV2"),
    ("GET", False, "uploads", "ListMultipartUploads"),
    ("GET", False, "bucketInfo", "GetBucketInfo"),
    ("GET", False, None, "ListObjects"),
    ("POST", False, "delete", "DeleteMultipleObjects"),
    ("GET", True, "uploadId", "ListParts"),
    ("GET", True, None, "GetObject"),
    ("HEAD", True, None, "HeadObject"),
    ("PUT", True, "partNumber", "UploadPart"),
    ("PUT", True, None, "PutObject"),
    ("DELETE", True, "uploadId", "AbortMultipartUpload"),
    ("DELETE", True, None, "DeleteObject"),
    ("POST", True, "uploads", "InitiateMultipartUpload"),
    ("POST", True, "uploadId", "CompleteMultipartUpload"),
]
V1_SIGNED = "bucketInfo continuation-token delete partNumber uploadId uploads".split()
LIMITS = {"max-keys": 1000, "max-parts": 1000, "max-uploads": 1000, "partNumber": 10000}


class Refused(Exception):
    """An error answer. .is_breach: the request should not have been sent like that."""

    is_breach = False

    def __init__(self, status, code, message="", **elements):
        super().__init__(code, message)
        self.status, self.code, self.message, self.elements = status, code, message, elements


class Breach(Refused):
    is_breach = True


def demand(holds, message, code="InvalidArgument", status=400):
    if not holds:
        raise Breach(status, code, message)


def check_head(server, r):
    """Returns the length of the body."""
    names = [name.lower() for name, _ in r.raw]
    demand(r.version == "HTTP/1.1", "version")
    for name, value in r.raw:
        demand(re.fullmatch(r"[A-Za-z0-9-]+", name), f"header name {name!r}")
        demand(names.count(name.lower()) == 1, f"header {name} twice")
        demand(re.fullmatch(r"[ -~]+", value.strip(" ")), f"header {name}: {value!r}")
    for name in ("expect", "transfer-encoding", "accept-encoding", "trailer", "connection"):
        demand(name not in names, f"header {name}")
    demand(r.get("host") == f"127.0.0.1:{server.port}", "Host")
    demand(re.fullmatch(r"(/|[A-Za-z0-9._~-]|%[0-9A-F]{2})*", r.path), "encoding of the path")
    demand(
        re.fullmatch(r"([A-Za-z0-9._~=&-]|%[0-9A-F]{2})*", r.raw_query), "encoding of the query"
    )
    for code in re.findall("%(..)", r.path + r.raw_query):
        demand(not re.fullmatch(r"[A-Za-z0-9._~-]", chr(int(code, 16))), f"needless %{code}")
    demand("%2F" not in r.path, "needless %2F")
    demand(len(r.params) == len(r.query), "a parameter twice")
    if r.method not in ("PUT", "POST"):
        demand("content-length" not in names, f"Content-Length of {r.method}")
        return 0
    length = r.get("content-length", "")
    demand(length.isdigit(), "no length", "MissingContentLength", 411)
    return int(length)


def operation_of(r):
    for method, about_key, decider, name in DECIDERS:
        if (method, about_key) == (r.method, bool(r.key)) and (not decider or decider in r.params):
            if "x-oss-copy-source" in r.headers:
                return {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}[name]
            return name
    raise Breach(400, "NotImplemented", "no such operation")


def check_parameters(operation, r):
    parameters, headers = OPERATIONS[operation]
    known = f"{COMMON} {headers}".split()
    for name in r.params:
        demand(name in parameters.split(), f"parameter {name} of {operation}")
    meta = {n[11:]: v for n, v in r.headers.items() if n.startswith("x-oss-meta-")}
    for name in r.headers:
        wanted = "x-oss-meta-" if name.startswith("x-oss-meta-") else name
        demand(wanted in known, f"header {name} of {operation}")
    demand(all(re.fullmatch("[a-z0-9-]+", name) for name in meta), "names of metadata")
    demand(sum(len(n) + len(v) for n, v in meta.items()) <= META_MAX, "8 KB of metadata")
    for name, limit in LIMITS.items():
        if name in r.params:
            demand(1 <= int(r.params[name]) <= limit, name)
    demand(r.params.get("encoding-type", "url") == "url", "encoding-type")
    demand(r.get("x-oss-metadata-directive", "COPY") in ("COPY", "REPLACE"), "directive")
    demand(r.get("x-oss-forbid-overwrite", "true") == "true", "forbid-overwrite")
    if r.key:
        key = r.key.encode("utf-8", "surrogateescape")
        demand(len(key) <= 1023 and key[:1] not in (b"/", b"\\"), "key", "InvalidObjectName")
        demand(key.decode("utf-8", "replace").encode() == key, "key", "InvalidObjectName")
    for name in ("prefix", "marker", "start-after", "key-marker"):
        demand(len(r.params.get(name, "").encode()) < 1024, name)
    if "content-md5" in r.headers:
        md5 = hashlib.md5(r.body).digest()  # noqa: S324
        demand(base64.b64encode(md5).decode() == r.get("content-md5"), "MD5", "InvalidDigest")
    if operation in ("CopyObject", "UploadPartCopy", "InitiateMultipartUpload"):
        demand(not r.body, "a body")


# -- signatures --


def check_signature(server, r):
    given = r.get("authorization", "")
    now = server.now()
    if given.startswith("OSS4-HMAC-SHA256 "):
        check_v4(server, r, given, now)
    else:
        demand(given.startswith("OSS "), "Authorization", "AccessDenied", 403)
        check_v1(server, r, given, now)


def secret_of(server, r, key_id):
    if key_id not in server.keys:
        raise Refused(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist.")
    secret, token = server.keys[key_id]
    if token != r.get("x-oss-security-token"):
        raise Refused(403, "InvalidSecurityToken", "The security token you provided is invalid.")
    return secret.encode()


def check_clock(when, now):
    if abs(when - now) > SKEW:
        sent, here = (
            datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            for t in (when, now)
        )
        raise Refused(403, "RequestTimeTooSkewed", RequestTime=sent, ServerTime=here)


def encode(text, keep=""):
    return urllib.parse.quote(text, safe="~" + keep)


def check_v4(server, r, given, now):
    form = (
        r"OSS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([a-z0-9-]+)/oss/aliyun_v4_request,"
        r"Signature=([0-9a-f]{64})"
    )
    match = re.fullmatch(form, given)
    demand(match, f"Authorization {given!r}")
    key_id, day, region, signature = match.groups()
    stamp = r.get("x-oss-date", "")
    demand(region == REGION, "region")
    demand(re.fullmatch(rf"{day}T\d{{6}}Z", stamp), "x-oss-date")
    demand(r.get("x-oss-content-sha256") == "UNSIGNED-PAYLOAD", "x-oss-content-sha256")
    secret = secret_of(server, r, key_id)
    when = datetime.datetime.strptime(stamp + "+0000", "%Y%m%dT%H%M%SZ%z")
    check_clock(when.timestamp(), now)
    pairs = sorted((encode(n), encode(v)) for n, v in r.query)
    signed = sorted(
        n for n in r.headers if n in ("content-type", "content-md5") or n.startswith("x-oss-")
    )
    canonical = [
        r.method,
        encode(urllib.parse.unquote_to_bytes(r.path), "/"),
        "&".join(f"{n}={v}" if v else n for n, v in pairs),
        "".join(f"{n}:{r.headers[n]}\n" for n in signed),
        "",
        "UNSIGNED-PAYLOAD",
    ]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    scope = f"{day}/{region}/oss/aliyun_v4_request"
    text = f"OSS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = b"aliyun_v4" + secret
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    demand(signature == expected, f"signature of {canonical}", "SignatureDoesNotMatch", 403)


def check_v1(server, r, given, now):
    key_id, _, signature = given.removeprefix("OSS ").partition(":")
    secret = secret_of(server, r, key_id)
    date = r.get("x-oss-date") or r.get("date")
    demand(date, "no date", "AccessDenied", 403)
    check_clock(email.utils.parsedate_to_datetime(date).timestamp(), now)
    sub = sorted((n, v) for n, v in r.query if n in V1_SIGNED or n.startswith("x-oss-"))
    text = "\n".join([r.method, r.get("content-md5", ""), r.get("content-type", ""), date, ""])
    text += "".join(f"{n}:{r.headers[n]}\n" for n in sorted(r.headers) if n.startswith("x-oss-"))
    text += f"/{r.bucket}/{r.key}"
    text += "?" * bool(sub) + "&".join(f"{n}={v}" if v else n for n, v in sub)
    expected = base64.b64encode(hmac.digest(secret, text.encode(), "sha1")).decode()
    demand(signature == expected, f"signature of {text!r}", "SignatureDoesNotMatch", 403)
