"""A small OSS client, for comparing the bucket with the truth.

Standard library only, V1 signatures, one connection a request: it shares no code and no
habit with the program that is tested.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree as ElementTree

SIGNED_QUERY = frozenset(
    "acl append bucketInfo continuation-token delete location objectMeta partNumber position "
    "restore stat symlink tagging uploadId uploads versioning versions".split()
)


class OssError(Exception):
    def __init__(self, status, code, message):
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case
        self.body = body


class Bucket:
    def __init__(self, endpoint, name, key_id, secret):
        url = urllib.parse.urlsplit(endpoint)
        self.host, self.port = url.hostname, url.port
        self.name, self.key_id, self.secret = name, key_id, secret

    # -- the wire --

    def _authorization(self, method, key, query, headers):
        signed = sorted(
            (n, v) for n, v in query.items() if n in SIGNED_QUERY or n.startswith("x-oss-")
        )
        resource = f"/{self.name}/{key}"
        if signed:
            resource += "?" + "&".join(n if not v else f"{n}={v}" for n, v in signed)
        lines = [
            method,
            headers.get("content-md5", ""),
            headers.get("content-type", ""),
            headers["date"],
            *(f"{n}:{v.strip()}" for n, v in sorted(headers.items()) if n.startswith("x-oss-")),
            resource,
        ]
        text = "\n".join(lines).encode("utf-8", "surrogateescape")
        digest = hmac.new(self.secret.encode(), text, hashlib.sha1).digest()
        return f"OSS {self.key_id}:{base64.b64encode(digest).decode()}"

    def request(self, method, key="", query=None, headers=None, body=b""):
        query = dict(query or {})
        headers = {n.lower(): v for n, v in (headers or {}).items()}
        headers.setdefault("content-type", "application/octet-stream")
        headers["date"] = email.utils.formatdate(usegmt=True)
        headers["authorization"] = self._authorization(method, key, query, headers)
        path = f"/{self.name}/" + urllib.parse.quote(key, safe="/~", errors="surrogateescape")
        if query:
            path += "?" + "&".join(
                urllib.parse.quote(n, safe="") + (f"={urllib.parse.quote(v, safe='')}" if v else "")
                for n, v in query.items()
            )
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        reply = Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, data)
        if answer.status >= 300:
            raise self._error(reply)
        return reply

    @staticmethod
    def _error(reply):
        try:
            root = ElementTree.fromstring(reply.body)
            return OssError(reply.status, root.findtext("Code"), root.findtext("Message"))
        except ElementTree.ParseError:
            return OssError(reply.status, reply.headers.get("x-oss-ec", ""), "")

    # -- objects --

    def get(self, key):
        """The object's bytes; None if there is none."""
        try:
            return self.request("GET", key).body
        except OssError as error:
            if error.code == "NoSuchKey":
                return None
            raise

    def head(self, key):
        """The headers (lower case) of an object; None if there is none."""
        try:
            return self.request("HEAD", key).headers
        except OssError as error:
            if error.status == 404:
                return None
            raise

    def meta(self, key):
        """User metadata by names without x-oss-meta-."""
        prefix = "x-oss-meta-"
        return {
            n[len(prefix) :]: v for n, v in self.head(key).items() if n.startswith(prefix)
        }

    def put(self, key, body, headers=None):
        return self.request("PUT", key, headers=headers, body=body).headers

    def delete(self, key):
        self.request("DELETE", key)

    # -- listings; some of them have an XML namespace, which {*} overlooks --

    def list(self, prefix=""):
        """All objects below the prefix: {key: (size, etag)}."""
        found, query = {}, {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        while True:
            root = ElementTree.fromstring(self.request("GET", query=query).body)
            for item in root.iter("Contents"):
                key = urllib.parse.unquote(item.findtext("Key"), errors="surrogateescape")
                found[key] = (int(item.findtext("Size")), item.findtext("ETag").strip('"'))
            if root.findtext("IsTruncated") != "true":
                return found
            query["continuation-token"] = root.findtext("NextContinuationToken")

    def keys(self, prefix=""):
        return sorted(self.list(prefix))

    def uploads(self):
        """Multipart uploads that were neither completed nor aborted: [(key, upload id)]."""
        root = ElementTree.fromstring(
            self.request("GET", query={"uploads": "", "encoding-type": "url"}).body
        )
        return [
            (urllib.parse.unquote(u.findtext("{*}Key")), u.findtext("{*}UploadId"))
            for u in root.findall("{*}Upload")
        ]

    def parts(self, key, upload_id):
        """Parts of an upload: {number: size}."""
        root = ElementTree.fromstring(
            self.request("GET", key, query={"uploadId": upload_id}).body
        )
        return {
            int(p.findtext("{*}PartNumber")): int(p.findtext("{*}Size"))
            for p in root.findall("{*}Part")
        }
