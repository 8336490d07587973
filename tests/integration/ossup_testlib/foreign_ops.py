"""The operations of the foreign server (protocol sections 4 to 6); its habits are in foreign.py."""

import base64
import ctypes
import dataclasses
import datetime
import email.utils
import hashlib
import re
import urllib.parse
import xml.etree.ElementTree as ElementTree

from .foreign_rules import REGION, Refused, demand, encode

PART_MIN = 100 << 10
COPY_MAX = 1 << 30
KEPT = ("cache-control", "content-disposition", "content-encoding", "content-type", "expires")

LZMA = ctypes.CDLL("liblzma.so.5")
LZMA.lzma_crc64.restype = ctypes.c_uint64
LZMA.lzma_crc64.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)


def crc64(data):
    return LZMA.lzma_crc64(bytes(data), len(data), 0)


def md5(data):
    return hashlib.md5(data).hexdigest().upper()  # noqa: S324


def untag(text):
    return text.strip('"').upper()


@dataclasses.dataclass
class Object:
    data: bytes
    headers: dict
    kind: str
    etag: str
    has_crc: bool
    modified: float


@dataclasses.dataclass
class Part:
    data: bytes
    etag: str
    copied: bool


class Upload:
    def __init__(self, key, headers, now):
        self.key, self.headers, self.initiated, self.parts = key, headers, now, {}


def user_headers(r):
    kept = {n: v for n, v in r.headers.items() if n in KEPT or n.startswith("x-oss-meta-")}
    return {"x-oss-storage-class": r.get("x-oss-storage-class", "Standard"), **kept}


class Operations:
    # -- the vocabulary of answers --

    def tag(self, etag):
        etag = etag.lower() if self.habits.lower_etags else etag
        return f'"{etag}"' if self.habits.quotes else etag

    def crc_header(self, where, data):
        return [("x-oss-hash-crc64ecma", str(crc64(data)))] if where in self.habits.crc else []

    def extra(self, text):
        return None if self.habits.sparse else text

    def encoding(self, r):
        return "url" if "encoding-type" in r.params and self.habits.encoding else None

    def enc(self, r, text):
        return encode(text) if self.encoding(r) else text

    def iso(self, when):
        text = datetime.datetime.fromtimestamp(int(when), datetime.timezone.utc)
        return text.strftime(f"%Y-%m-%dT%H:%M:%S.{self.habits.fraction}Z")

    def find(self, key):
        if key not in self.objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.", Key=key)
        return self.objects[key]

    def store(self, r, obj):
        if "x-oss-forbid-overwrite" in r.headers and r.key in self.objects:
            raise Refused(409, "FileAlreadyExists")
        self.objects[r.key] = obj

    def result(self, root, etag, *children):
        headers, body = self.document(root, *children, ("ETag", self.tag(etag)))
        return [*headers, ("ETag", self.tag(etag))], body

    # -- objects --

    def op_PutObject(self, r):
        self.store(r, Object(r.body, user_headers(r), "Normal", md5(r.body), True, self.now()))
        return 200, [("ETag", self.tag(md5(r.body))), *self.crc_header("put", r.body)], b""

    def object_headers(self, r):
        obj = self.find(r.key)
        if untag(r.get("if-match", obj.etag)) != obj.etag:
            raise Refused(412, "PreconditionFailed")
        headers = [
            ("ETag", self.tag(obj.etag)),
            ("Last-Modified", email.utils.formatdate(int(obj.modified), usegmt=True)),
            ("x-oss-object-type", obj.kind),
            *obj.headers.items(),
        ]
        return obj, headers + (self.crc_header("read", obj.data) if obj.has_crc else [])

    def op_HeadObject(self, r):
        obj, headers = self.object_headers(r)
        return 200, [*headers, ("Content-Length", str(len(obj.data)))], b""

    def op_GetObject(self, r):
        obj, headers = self.object_headers(r)
        if "range" not in r.headers:
            return 200, headers, obj.data
        demand(r.get("x-oss-range-behavior") == "standard", "a range without range-behavior")
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", r.get("range"))
        demand(match and int(match[1]) < len(obj.data), f"range {r.get('range')}")
        first, end = int(match[1]), min(int(match[2]) + 1, len(obj.data))
        headers.append(("Content-Range", f"bytes {first}-{end - 1}/{len(obj.data)}"))
        return 206, headers, obj.data[first:end]

    def op_DeleteObject(self, r):
        self.objects.pop(r.key, None)
        return self.habits.deleted, [], b""

    def op_DeleteMultipleObjects(self, r):
        if not self.habits.batches:
            raise Refused(400, "NotImplemented")
        demand("content-md5" in r.headers, "no Content-MD5", "MissingArgument")
        demand(len(r.body) <= 2 << 20, "more than 2 MB", "MalformedXML")
        root = ElementTree.fromstring(r.body.decode())
        keys = [each.find("Key").text for each in root.findall("Object")]
        demand(root.tag == "Delete" and 1 <= len(keys) <= 1000, "a batch", "MalformedXML")
        for key in keys:
            self.objects.pop(key, None)
        if root.findtext("Quiet") == "true":
            return 200, [], b""
        deleted = [("Deleted", [("Key", self.enc(r, key))]) for key in keys]
        return 200, *self.document("DeleteResult", ("EncodingType", self.encoding(r)), *deleted)

    def source(self, r):
        text = r.get("x-oss-copy-source")
        match = re.fullmatch(rf"/{self.bucket}/((?:[A-Za-z0-9._~/-]|%[0-9A-F]{{2}})+)", text)
        demand(match, f"copy source {text}")
        key = urllib.parse.unquote(match[1])
        obj = self.find(key)
        if untag(r.get("x-oss-copy-source-if-match", obj.etag)) != obj.etag:
            raise Refused(412, "PreconditionFailed")
        return key, obj

    def op_CopyObject(self, r):
        key, old = self.source(r)
        demand(key == r.key or len(old.data) <= COPY_MAX, "a copy above 1 GiB", "EntityTooLarge")
        headers = user_headers(r)
        if r.get("x-oss-metadata-directive") != "REPLACE" and key != r.key:
            headers = {**old.headers, "x-oss-storage-class": headers["x-oss-storage-class"]}
        etag = old.etag
        if key != r.key and not self.habits.derived_etags:
            etag = md5(f"{etag} {r.key}".encode())
        self.store(r, Object(old.data, headers, "Normal", etag, old.has_crc, self.now()))
        modified = ("LastModified", self.iso(self.now()))
        headers, body = self.result("CopyObjectResult", etag, modified)
        return 200, headers + self.crc_header("copy", old.data), body

    # -- multipart --

    def upload(self, r):
        upload = self.uploads.get(r.params["uploadId"])
        if not upload or upload.key != r.key:
            raise Refused(404, "NoSuchUpload", UploadId=r.params["uploadId"])
        return upload

    def op_InitiateMultipartUpload(self, r):
        upload_id = md5(str(self.number).encode())
        self.uploads[upload_id] = Upload(r.key, user_headers(r), self.now())
        return 200, *self.document(
            "InitiateMultipartUploadResult",
            ("Bucket", self.extra(self.bucket)),
            ("Key", self.extra(self.enc(r, r.key))),
            ("UploadId", upload_id),
        )

    def op_UploadPart(self, r):
        self.upload(r).parts[int(r.params["partNumber"])] = Part(r.body, md5(r.body), False)
        return 200, [("ETag", self.tag(md5(r.body))), *self.crc_header("part", r.body)], b""

    def op_UploadPartCopy(self, r):
        upload = self.upload(r)
        _, obj = self.source(r)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", r.get("x-oss-copy-source-range", ""))
        demand(match and int(match[1]) <= int(match[2]) < len(obj.data), "copied range")
        data = obj.data[int(match[1]) : int(match[2]) + 1]
        upload.parts[int(r.params["partNumber"])] = Part(data, md5(data), True)
        modified = ("LastModified", self.iso(self.now()))
        headers, body = self.result("CopyPartResult", md5(data), modified)
        if not self.habits.sparse:
            told = f"bytes {match[1]}-{match[2]}/{len(obj.data)}"
            headers.append(("Content-Range", told))
        return 200, headers, body

    def op_CompleteMultipartUpload(self, r):
        upload = self.upload(r)
        root = ElementTree.fromstring(r.body.decode())
        demand(root.tag == "CompleteMultipartUpload" and len(root), "parts", "MalformedXML")
        numbers = [int(part.findtext("PartNumber")) for part in root]
        demand(numbers == sorted(set(numbers)), "order of parts", "InvalidPartOrder")
        parts = [upload.parts.get(number) for number in numbers]
        for part, told in zip(parts, root):
            if not part or untag(told.findtext("ETag")) != part.etag:
                raise Refused(400, "InvalidPart")
        sizes = [len(part.data) for part in parts]
        demand(min(sizes[:-1], default=PART_MIN) >= PART_MIN, f"sizes {sizes}", "EntityTooSmall")
        data = b"".join(part.data for part in parts)
        text = "".join(part.etag for part in parts)
        if not self.habits.derived_etags:
            text += r.params["uploadId"]
        etag = f"{md5(text.encode())}-{len(parts)}"
        has_crc = "list" in self.habits.crc or not any(part.copied for part in parts)
        self.store(r, Object(data, upload.headers, "Multipart", etag, has_crc, self.now()))
        del self.uploads[r.params["uploadId"]]
        headers, body = self.result(
            "CompleteMultipartUploadResult",
            etag,
            ("Location", self.extra("http://bucket/key")),
            ("Bucket", self.extra(self.bucket)),
            ("Key", self.extra(self.enc(r, r.key))),
        )
        return 200, headers + (self.crc_header("complete", data) if has_crc else []), body

    def op_AbortMultipartUpload(self, r):
        self.upload(r)
        del self.uploads[r.params["uploadId"]]
        return self.habits.deleted, [], b""

    def op_ListParts(self, r):
        upload = self.upload(r)
        after = int(r.params.get("part-number-marker", "0"))
        numbers = sorted(number for number in upload.parts if number > after)
        page = numbers[: min(int(r.params.get("max-parts", "1000")), self.habits.page)]
        parts = []
        for number in page:
            part = upload.parts[number]
            crc = str(crc64(part.data)) if "list" in self.habits.crc else None
            fields = [("PartNumber", str(number)), ("ETag", self.tag(part.etag))]
            fields += [("Size", str(len(part.data))), ("HashCrc64ecma", crc)]
            parts.append(("Part", fields))
        more = len(numbers) > len(page)
        marker = str(page[-1]) if more else self.extra(str(page[-1]) if page else "")
        return 200, *self.document(
            "ListPartsResult",
            ("Key", self.extra(self.enc(r, r.key))),
            ("NextPartNumberMarker", marker),
            ("IsTruncated", "true" if more else self.extra("false")),
            *parts,
        )

    def op_ListMultipartUploads(self, r):
        after = (r.params.get("key-marker", ""), r.params.get("upload-id-marker", ""))
        prefix = r.params.get("prefix", "")
        found = sorted((u.key, i) for i, u in self.uploads.items() if u.key.startswith(prefix))
        found = [each for each in found if each > after]
        page = found[: min(int(r.params.get("max-uploads", "1000")), self.habits.page)]
        uploads = []
        for key, upload_id in page:
            fields = [("Key", self.enc(r, key)), ("UploadId", upload_id)]
            fields.append(("Initiated", self.iso(self.uploads[upload_id].initiated)))
            uploads.append(("Upload", fields))
        return 200, *self.document(
            "ListMultipartUploadsResult",
            ("EncodingType", self.encoding(r)),
            ("NextKeyMarker", self.enc(r, page[-1][0]) if page else ""),
            ("NextUploadIdMarker", page[-1][1] if page else ""),
            ("IsTruncated", "true" if len(found) > len(page) else "false"),
            *uploads,
        )

    # -- the bucket --

    def op_GetBucketInfo(self, r):
        if self.habits.info == "refused":
            raise Refused(403, "AccessDenied", "You do not have read acl permission on this object.")
        if self.habits.info == "unknown":
            return self.op_ListObjects(r)
        fields = [("Name", self.bucket), ("Location", f"oss-{REGION}"), ("StorageClass", "Standard")]
        return 200, *self.document("BucketInfo", ("Bucket", fields))

    # -- listings --

    def op_ListObjectsV2(self, r):
        if self.habits.list_version == 1:
            return self.op_ListObjects(r)
        token = r.params.get("continuation-token")
        if not token and self.habits.empty_page:
            start = base64.b64encode(b"/" + r.params.get("start-after", "").encode()).decode()
            fields = [("IsTruncated", "true"), ("NextContinuationToken", start)]
            return 200, *self.document("ListBucketResult", *fields)
        after = r.params.get("start-after", "")
        if token:
            after = base64.b64decode(token)[1:].decode()
        return self.listing(r, after, "NextContinuationToken")

    def op_ListObjects(self, r):
        return self.listing(r, r.params.get("marker", ""), "NextMarker")

    def names(self, r, after):
        """(key, None), or (prefix, True): a group."""
        prefix, delimiter = r.params.get("prefix", ""), r.params.get("delimiter")
        found = {}
        for key in sorted(self.objects, key=str.encode):
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            name = prefix + head + cut if cut else key
            if key.startswith(prefix) and name.encode() > after.encode():
                found[name] = bool(cut)
        return list(found.items())

    def listing(self, r, after, next_name):
        found = self.names(r, after)
        page = found[: min(int(r.params.get("max-keys", "100")), self.habits.page)]
        groups, contents, after = [], [], None
        for name, is_group in page:
            if is_group:
                groups.append(("CommonPrefixes", [("Prefix", self.enc(r, name))]))
                continue
            obj = self.objects[name]
            fields = [("Key", self.enc(r, name)), ("LastModified", self.iso(obj.modified))]
            fields += [("ETag", self.tag(obj.etag)), ("Type", self.extra(obj.kind))]
            fields += [("Size", str(len(obj.data)))]
            fields += [("StorageClass", self.extra(obj.headers["x-oss-storage-class"]))]
            contents.append(("Contents", fields))
        if len(found) > len(page):
            after = page[-1][0]
            if next_name == "NextMarker":
                after = self.enc(r, after)
            else:
                after = base64.b64encode(b"/" + after.encode()).decode()
        return 200, *self.document(
            "ListBucketResult",
            ("Name", self.extra(self.bucket)),
            ("Prefix", self.extra(self.enc(r, r.params.get("prefix", "")))),
            ("EncodingType", self.encoding(r)),
            ("IsTruncated", "true" if after else "false"),
            (next_name, after),
            *(groups + contents if self.habits.prefixes_first else contents + groups),
        )
