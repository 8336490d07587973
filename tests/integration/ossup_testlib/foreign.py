"""
A second OSS server: Python's standard library, written from the protocol's description alone.

It shares nothing with tests/server, so that what our server and our client both take for granted
shows. It is strict with what it is sent: each breach of the protocol is a line in .complaints. What
it answers varies within what the protocol allows: see Habits.
"""

import base64
import dataclasses
import email.utils
import re
import socket
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

from .foreign_ops import Operations
from .foreign_rules import Refused, check_head, check_parameters, check_signature, operation_of

KEY_ID = "LTAI-integration"
SECRET = "integration-secret"  # noqa: S105 - of a server that lives for one test
NAMESPACE = ' xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com"'
REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 404: "Not Found"}


@dataclasses.dataclass
class Habits:
    """How a server answers where the protocol leaves a choice; the defaults are what OSS does."""

    # the head of an answer
    marks: bool = True  # Server: AliyunOSS, x-oss-request-id, x-oss-server-time
    header_case: str = ""  # lower, upper
    content_type: str = "application/xml"
    extras: bool = False  # headers and elements that nobody knows
    # connections
    close: bool = False  # after each answer
    old: bool = False  # HTTP/1.0: a body ends with the connection
    lifetime: int = 0  # requests of a connection; then it is closed without a word
    chunked: bool = False  # documents
    go_on: bool = False  # 100-continue, though nobody asked
    # documents
    namespace: bool = False
    pretty: bool = False
    sparse: bool = False  # no optional elements
    results: bool = True  # copies and Complete answer with a document
    errors: bool = True  # refusals have a body, and HEAD's x-oss-err
    # ETags and CRC-64
    lower_etags: bool = False
    quotes: bool = True
    derived_etags: bool = True  # of multipart objects from their parts', of copies the source's
    crc: tuple = ("put", "part", "copy", "complete", "list", "read")  # which answers have it
    # listings
    encoding: bool = True  # encoding-type=url is honoured
    list_version: int = 2  # 1: list-type=2 is ignored
    prefixes_first: bool = False
    page: int = 1000  # entries at most
    empty_page: bool = False  # before the first
    fraction: str = "000"  # of the seconds in listings
    # the rest
    deleted: int = 204  # 200
    info: str = "told"  # of the bucket; "refused"; "unknown": it lists the bucket instead
    batches: bool = True  # DeleteMultipleObjects is there
    clock: int = 0  # seconds ahead of ours


class Request:
    def __init__(self, head):
        lines = head[:-4].decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.method, target, self.version = self.line.split(" ")
        self.raw = [tuple(line.split(":", 1)) for line in lines[1:]]
        self.headers = {name.lower(): value.strip(" \t") for name, value in self.raw}
        self.path, _, self.raw_query = target.partition("?")
        pieces = [p.partition("=") for p in self.raw_query.split("&") if p]
        self.query = [(urllib.parse.unquote(n), urllib.parse.unquote(v)) for n, _, v in pieces]
        self.params = dict(self.query)
        whole = urllib.parse.unquote(self.path, errors="surrogateescape")
        self.bucket, _, self.key = whole[1:].partition("/")
        self.body = b""

    def get(self, name, default=None):
        return self.headers.get(name, default)


class ForeignServer(Operations):
    """Listens as soon as it is made. .objects and .uploads are the truth, .log the requests."""

    def __init__(self, habits=None, bucket="bucket"):
        self.habits = habits or Habits()
        self.bucket = bucket
        self.keys = {KEY_ID: (SECRET, None)}  # access key id: secret, security token
        self.objects, self.uploads = {}, {}
        self.complaints, self.log = [], []
        self.fault = lambda operation, request: None  # a Refused, "cut", "cut-after" or None
        self.lock = threading.Lock()
        self.number = 0
        self.connections = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def command(self):
        """For who prints how to start it by hand: that cannot be done."""
        return ["#", "a ForeignServer of this test"]

    def now(self):
        return time.time() + self.habits.clock

    def requests(self, *operations):
        return [entry for entry in self.log if not operations or entry[0] in operations]

    def stop(self):
        for each in [self.listener, *self.connections]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()

    # -- connections --

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        served = 0
        with connection, connection.makefile("rb") as stream:
            try:
                while self._serve_one(connection, stream):
                    served += 1
                    if served == self.habits.lifetime:
                        break
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connections.discard(connection)

    def _serve_one(self, connection, stream):
        """False: no further request on this connection."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        request = Request(head)
        with self.lock:
            self.number += 1
            number = self.number
        reply = self._handle(connection, stream, request)
        if reply is None:
            return False
        connection.sendall(self._head(request, number, *reply))
        return not self.habits.close and not self.habits.old

    def _handle(self, connection, stream, request):
        """(status, headers, body), or None: no answer."""
        operation, lost = "?", False
        try:
            length = check_head(self, request)
            operation = operation_of(request)
            if self.habits.go_on:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.body = stream.read(length)
            if len(request.body) < length:
                return None
            fault = self.fault(operation, request)
            if isinstance(fault, Refused):
                raise fault
            if fault == "cut":
                return None
            lost = fault == "cut-after"
            check_signature(self, request)
            if request.bucket != self.bucket:
                raise Refused(404, "NoSuchBucket", BucketName=request.bucket)
            check_parameters(operation, request)
            with self.lock:
                reply = getattr(self, f"op_{operation}")(request)
        except Refused as refusal:
            if refusal.is_breach:
                self.complaints.append(f"{request.line}: {refusal.message}")
            reply = self._refusal(request, refusal)
        with self.lock:
            self.log.append((operation, request.key, reply[0]))
        return None if lost else reply

    # -- answers --

    def _refusal(self, request, refusal):
        elements = {
            "Code": refusal.code,
            "Message": refusal.message or "no",
            "RequestId": "5" * 24,
            "HostId": "127.0.0.1",
            **refusal.elements,
            "EC": "0000-00000000",
        }
        lines = [f"  <{name}>{escape(text)}</{name}>" for name, text in elements.items()]
        text = "\r\n".join(['<?xml version="1.0"?>', "<Error>", *lines, "</Error>", ""])
        body = text.encode() if self.habits.errors else b""
        headers = [("Content-Type", "application/xml")]
        if request.method == "HEAD" and body:
            headers.append(("x-oss-err", base64.b64encode(body).decode()))
        return refusal.status, headers, body

    def _head(self, request, number, status, headers, body):
        h = self.habits
        head = [("Date", email.utils.formatdate(self.now(), usegmt=True))]
        if h.marks:
            head += [("Server", "AliyunOSS"), ("x-oss-request-id", f"{number:024X}")]
        if h.extras:
            head += [("x-oss-unheard-of", "1"), ("Vary", "Origin"), ("X-Empty", "")]
        head += [("Connection", "close" if h.close else "keep-alive")] if not h.old else []
        head += headers
        bodiless = request.method == "HEAD" or status == 204
        if h.chunked and body and not bodiless:
            head.append(("Transfer-Encoding", "chunked"))
            pieces = [body[i : i + 700] for i in range(0, len(body), 700)] + [b""]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        elif status != 204 and "Content-Length" not in dict(headers) and not (h.old and body):
            head.append(("Content-Length", str(len(body))))
        if h.header_case:
            head = [(getattr(name, h.header_case)(), value) for name, value in head]
        lines = "".join(f"{name}: {value}\r\n" for name, value in head)
        text = f"HTTP/{'1.0' if h.old else '1.1'} {status} {REASONS.get(status, 'Whatever')}\r\n{lines}\r\n"
        return text.encode() + (b"" if bodiless else body)

    def document(self, root, *children):
        """(headers, body). A child is (name, text), (name, children), or (name, None): left out."""
        h = self.habits
        if not h.results and re.match("Copy|Complete", root):
            return [], b""

        def write(name, content, depth):
            if content is None:
                return ""
            indent = "\n" + "    " * depth if h.pretty else ""
            if isinstance(content, str):
                return f"{indent}<{name}>{escape(content)}</{name}>"
            inside = "".join(write(*child, depth + 1) for child in content)
            return f"{indent}<{name}>{inside}{indent}</{name}>"

        if h.extras:
            children = [("New", [("Key", "x"), ("ETag", "x"), ("UploadId", "x")]), *children]
        inside = "".join(write(*child, 1) for child in children)
        text = f"<{root}{NAMESPACE if h.namespace else ''}>{inside}</{root}>"
        if not h.sparse:
            text = '<?xml version="1.0" encoding="UTF-8"?>\n' + text
        return [("Content-Type", h.content_type)], text.encode()
