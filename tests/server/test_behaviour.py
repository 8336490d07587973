#!/usr/bin/env python3
"""What the local server promises beyond what ali-oss can ask: test_behaviour.py SERVER

Errors, limits, faults, switches, the request log, restarts. It signs with a signer of its own, so
that a mistake in the server's cannot hide. Only loopback is used; a folder of its own goes at the end.
"""
import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as ET
from email.utils import formatdate

SERVER = ''
BUCKET = 'bkt'
DIGITS = b'0123456789'


def encode(text, safe=''):
    return urllib.parse.quote(text, safe='~' + safe)


def query_string(query):
    pairs = sorted((encode(k), encode(v) if v else '') for k, v in query)
    return '&'.join(k + ('=' + v if v else '') for k, v in pairs)


def sign_v4(method, resource, query, headers, key_id, secret, region, when):
    names = sorted(k for k in headers if k in ('content-type', 'content-md5') or k.startswith('x-oss-'))
    canonical = '\n'.join([method, encode(resource, '/'), query_string(query),
                           ''.join(f'{k}:{headers[k].strip()}\n' for k in names), '', 'UNSIGNED-PAYLOAD'])
    scope = f'{when[:8]}/{region}/oss/aliyun_v4_request'
    text = '\n'.join(['OSS4-HMAC-SHA256', when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ('aliyun_v4' + secret).encode()
    for step in (when[:8], region, 'oss', 'aliyun_v4_request', text):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return f'OSS4-HMAC-SHA256 Credential={key_id}/{scope},Signature={key.hex()}'


def crc64(data, crc=0):
    crc ^= 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFFFFFFFFFF


CRC_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0xC96C5795D7870F42 if _n & 1 else 0)
    CRC_TABLE.append(_n)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def xml(self):
        return ET.fromstring(self.body)

    @property
    def code(self):
        body = self.body or base64.b64decode(self.headers.get('x-oss-err', ''))
        return ET.fromstring(body).findtext('Code') if body else None

    def texts(self, tag):
        return [e.text or '' for e in self.xml.iter() if e.tag.split('}')[-1] == tag]


class Server:
    def __init__(self, *options, root=None, port=0):
        self.root = root or tempfile.mkdtemp(prefix='oss-server-')
        self.options = options
        self.port = port
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [SERVER, '--root', self.root, '--port', str(self.port), '--access-key', 'ak', '--secret', 'sk',
             '--bucket', BUCKET, *self.options], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith('listening on http'):
            raise RuntimeError(f'the server said {line!r}')
        self.port = int(line.rsplit(':', 1)[1])

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.process.stdout.close()
        shutil.rmtree(self.root)
        return status

    def connection(self):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)

    def control(self, method, name, body=None):
        connection = self.connection()
        connection.request(method, '/-/control/' + name, body=None if body is None else json.dumps(body))
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    def log(self, **wanted):
        lines = [json.loads(line) for line in self.control('GET', 'log')[1].splitlines()]
        return [e for e in lines if all(e.get(k) == v for k, v in wanted.items())]


class Client:
    def __init__(self, server, key_id='ak', secret='sk', token=None, skew=0, region='cn-hangzhou', signed=True):
        self.server, self.key_id, self.secret, self.token = server, key_id, secret, token
        self.skew, self.region, self.signed = skew, region, signed

    def call(self, method, key=None, query=(), headers=None, body=None, bucket=BUCKET):
        headers = {k.lower(): v for k, v in (headers or {}).items()}
        resource = '/' + (f'{bucket}/{key or ""}' if bucket else '')
        target = encode(resource, '/') + ('?' + query_string(query) if query else '')
        if self.token:
            headers['x-oss-security-token'] = self.token
        if self.signed:
            when = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(time.time() + self.skew))
            headers |= {'x-oss-date': when, 'x-oss-content-sha256': 'UNSIGNED-PAYLOAD'}
            headers['authorization'] = sign_v4(method, resource, query, headers, self.key_id, self.secret,
                                               self.region, when)
        return self.send(method, target, headers, body)

    def send(self, method, target, headers, body=None):
        connection = self.server.connection()
        try:
            connection.request(method, target, body=body, headers=headers)
            reply = connection.getresponse()
            content = reply.read()
            return Reply(reply.status, {k.lower(): v for k, v in reply.getheaders()}, content)
        finally:
            connection.close()

    def upload(self, key, **headers):
        return self.call('POST', key, [('uploads', None)], headers).texts('UploadId')[0]

    def part(self, key, upload_id, number, body=None, headers=None):
        return self.call('PUT', key, [('partNumber', str(number)), ('uploadId', upload_id)], headers, body)

    def complete(self, key, upload_id, parts, headers=None):
        body = '<CompleteMultipartUpload>' + ''.join(
            f'<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>' for n, e in parts) + '</CompleteMultipartUpload>'
        return self.call('POST', key, [('uploadId', upload_id)], headers, body)


class Case(unittest.TestCase):
    options = ('--sts', 'stsak:stssk:tok1', '--sts', 'stsak2:stssk2:tok2:1000')

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)
        cls.client = Client(cls.server)

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        if status != 0:
            raise RuntimeError(f'the server ended with status {status}')

    def tearDown(self):
        self.server.control('DELETE', 'faults')

    def expect(self, reply, status, code=None):
        self.assertEqual((reply.status, code and reply.code), (status, code), reply.body[:500])
        return reply

    def put(self, key, body=DIGITS, **headers):
        return self.expect(self.client.call('PUT', key, headers=headers, body=body), 200)

    def missing(self, key):
        self.expect(self.client.call('HEAD', key), 404, 'NoSuchKey')

    def fault(self, operation, action, **selection):
        status, text = self.server.control('POST', 'faults', {'operation': operation, 'action': action, **selection})
        self.assertEqual(status, 200, text)
        return json.loads(text)['ids'][0]

    def option(self, **options):
        status, text = self.server.control('POST', 'option', {k.replace('_', '-'): v for k, v in options.items()})
        self.assertEqual(status, 200, text)

    def assert_cut(self, call, kinds=(http.client.HTTPException, ConnectionError)):
        with self.assertRaises(kinds):
            call()


class Requests(Case):
    def test_signatures_that_do_not_hold(self):
        def get(**who):
            return Client(self.server, **who).call('GET', 'k')

        wrong = self.expect(get(secret='wrong'), 403, 'SignatureDoesNotMatch')
        self.assertTrue(wrong.texts('StringToSign')[0].startswith('OSS4-HMAC-SHA256\n'))
        self.assertTrue(wrong.texts('CanonicalRequest')[0].startswith('GET\n/bkt/k\n'))
        self.assertEqual(wrong.headers['x-oss-ec'], '0002-00000040')
        self.expect(get(key_id='nobody'), 403, 'InvalidAccessKeyId')
        self.expect(get(region='cn-beijing'), 400, 'InvalidArgument')
        for skew in (-1000, 1000):
            skewed = self.expect(get(skew=skew), 403, 'RequestTimeTooSkewed')
            self.assertEqual(skewed.texts('MaxAllowedSkewMilliseconds'), ['900000'])
            self.assertTrue(skewed.texts('ServerTime') and skewed.texts('RequestTime'))
        self.expect(get(skew=800), 404, 'NoSuchKey')
        self.expect(get(signed=False), 403, 'AccessDenied')

    def test_temporary_credentials(self):
        def get(**who):
            return Client(self.server, **who).call('GET', 'k')

        self.expect(get(key_id='stsak', secret='stssk'), 403, 'InvalidAccessKeyId')
        self.expect(get(key_id='stsak', secret='stssk', token='tok1'), 404, 'NoSuchKey')
        self.expect(get(key_id='stsak', secret='stssk', token='tok2'), 403, 'AccessKeyIdAndSecurityTokenNotMatch')
        self.expect(get(key_id='stsak', secret='stssk', token='x'), 403, 'InvalidSecurityToken')
        self.expect(get(key_id='stsak2', secret='stssk2', token='tok2'), 403, 'SecurityTokenExpired')
        self.expect(get(token='tok1'), 403)
        self.server.control('POST', 'add-credential', {'access_key': 'n', 'secret': 's', 'token': 't'})
        self.expect(get(key_id='n', secret='s', token='t'), 404, 'NoSuchKey')
        self.assertEqual(self.server.control('POST', 'expire-token', {'token': 't'})[0], 200)
        self.expect(get(key_id='n', secret='s', token='t'), 403, 'SecurityTokenExpired')

    def test_v1_signs_what_it_should(self):
        date = formatdate(usegmt=True)

        def get(resource, target):
            text = f'GET\n\n\n{date}\n{resource}'
            mac = base64.b64encode(hmac.new(b'sk', text.encode(), hashlib.sha1).digest()).decode()
            return self.client.send('GET', target, {'Date': date, 'Authorization': f'OSS ak:{mac}'})

        self.expect(get('/bkt/', '/bkt/?prefix=a&max-keys=1'), 200)
        self.expect(get('/bkt/?prefix=a', '/bkt/?prefix=a'), 403, 'SignatureDoesNotMatch')
        self.expect(get('/bkt/?acl', '/bkt/?acl'), 200)
        self.expect(get('/bkt/', '/bkt/?acl'), 403, 'SignatureDoesNotMatch')

    def test_dates(self):
        send = self.client.send
        self.expect(send('GET', '/bkt/k', {'Authorization': 'OSS ak:xx'}), 403, 'AccessDenied')
        self.expect(send('GET', '/bkt/k', {'Authorization': 'OSS ak:xx', 'Date': 'yesterday'}), 400, 'InvalidArgument')
        self.expect(send('GET', '/bkt/k', {'Authorization': 'Basic xx'}), 400, 'InvalidArgument')

    def test_every_reply_has_the_common_headers(self):
        ids = set()
        for reply in (self.put('common'), self.client.call('GET', 'nothing'), self.client.call('HEAD', 'nothing')):
            self.assertEqual(reply.headers['server'], 'AliyunOSS')
            self.assertRegex(reply.headers['date'], r'GMT$')
            self.assertRegex(reply.headers['x-oss-request-id'], r'^[0-9A-F]{24}$')
            ids.add(reply.headers['x-oss-request-id'])
        self.assertEqual(len(ids), 3)
        head = self.client.call('HEAD', 'nothing')
        self.assertEqual((head.body, head.headers['content-type']), (b'', 'application/xml'))
        self.assertGreater(int(head.headers['content-length']), 0)

    def test_what_no_client_should_send(self):
        send = self.client.send
        for target in ('/bkt/?prefix=a+b', '/bkt/?prefix=%zz', '/bkt/%4'):
            self.expect(send('GET', target, {}), 400, 'InvalidURI')
        self.expect(send('GET', '/Bkt/k', {}), 400, 'InvalidBucketName')
        self.expect(send('GET', '/bkt//k', {}), 400, 'InvalidObjectName')
        self.expect(send('GET', '/bkt/%FF', {}), 400, 'InvalidObjectName')
        self.expect(self.client.call('GET', 'k' * 1024), 400, 'InvalidObjectName')
        self.expect(self.client.call('PATCH', 'k'), 405, 'MethodNotAllowed')

    def test_a_body_needs_a_length(self):
        when = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        headers = {'x-oss-date': when, 'x-oss-content-sha256': 'UNSIGNED-PAYLOAD'}
        authorization = sign_v4('PUT', '/bkt/k', [], headers, 'ak', 'sk', 'cn-hangzhou', when)
        connection = self.server.connection()
        connection.putrequest('PUT', '/bkt/k', skip_accept_encoding=True)
        for name, value in {**headers, 'Authorization': authorization}.items():
            connection.putheader(name, value)
        connection.endheaders()
        self.assertEqual(connection.getresponse().status, 411)
        connection.close()

    def test_a_short_body_stores_nothing(self):
        when = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        headers = {'x-oss-date': when, 'x-oss-content-sha256': 'UNSIGNED-PAYLOAD'}
        authorization = sign_v4('PUT', '/bkt/short', [], headers, 'ak', 'sk', 'cn-hangzhou', when)
        lines = [f'{k}: {v}' for k, v in {**headers, 'Authorization': authorization, 'Host': 'x', 'Content-Length': 100}.items()]
        with socket.create_connection(('127.0.0.1', self.server.port)) as s:
            s.sendall(('PUT /bkt/short HTTP/1.1\r\n' + '\r\n'.join(lines) + '\r\n\r\n').encode() + b'x' * 50)
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):
                pass
        self.missing('short')
        self.assertEqual([e['aborted'] for e in self.server.log(key='short', operation='PutObject')], [True])

    def test_metadata_limits(self):
        def put(headers):
            return self.client.call('PUT', 'meta', headers=headers, body=b'x')

        self.expect(put({'x-oss-meta-a': 'v' * 8191}), 200)
        self.expect(put({'x-oss-meta-a': 'v' * 8192}), 400, 'InvalidArgument')
        self.expect(put({'x-oss-meta-a_b': 'v'}), 400, 'InvalidArgument')
        self.expect(put({'x-oss-storage-class': 'Cold'}), 400, 'InvalidArgument')
        self.expect(put({'x-oss-object-acl': 'mine'}), 400, 'InvalidArgument')
        self.expect(put({'x-oss-server-side-encryption': 'ROT13'}), 400, 'InvalidEncryptionAlgorithmError')
        self.expect(put({'x-oss-traffic-limit': '819199'}), 400, 'InvalidArgument')
        self.expect(put({'x-oss-tagging': '&'.join(f't{i}=x' for i in range(11))}), 400, 'InvalidArgument')
        for name in ('If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since'):
            refused = self.expect(put({name: '"x"'}), 400, 'NotImplemented')
            self.assertEqual(refused.texts('Header'), [name.lower()])

    def test_not_modified_has_the_etag_and_no_body(self):
        etag = self.put('nm').headers['etag']
        for method in ('GET', 'HEAD'):
            reply = self.client.call(method, 'nm', headers={'if-none-match': etag})
            self.assertEqual((reply.status, reply.body, reply.headers['etag']), (304, b'', etag))

    def test_content_md5_is_checked_before_anything_changes(self):
        right = base64.b64encode(hashlib.md5(DIGITS).digest()).decode()
        self.put('md5', b'old')
        for wrong in ('x', base64.b64encode(b'0' * 16).decode()):
            self.expect(self.client.call('PUT', 'md5', headers={'content-md5': wrong}, body=DIGITS), 400, 'InvalidDigest')
        self.assertEqual(self.client.call('GET', 'md5').body, b'old')
        self.put('md5', DIGITS, **{'content-md5': right})

    def test_of_concurrent_forbidding_writers_one_wins(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda i: self.client.call('PUT', 'race', headers={'x-oss-forbid-overwrite': 'true'},
                                                               body=b'%d' % i), range(16)))
        self.assertEqual(sorted(r.status for r in replies), [200] + [409] * 15)

    def test_delete_multiple(self):
        def delete(body, **headers):
            md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
            return self.client.call('POST', None, [('delete', None), ('encoding-type', 'url')],
                                    {'content-md5': md5, **headers}, body)

        for key in ('dm/1', 'dm/a b'):
            self.put(key)
        self.expect(self.client.call('POST', None, [('delete', None)], body=b'<Delete/>'), 400, 'MissingArgument')
        self.expect(delete(b'<Delete></Delete>'), 400, 'MalformedXML')
        self.expect(delete(b'<Delete>' + b'<Object><Key>k</Key></Object>' * 1001 + b'</Delete>'), 400, 'MalformedXML')
        self.expect(delete(b'<!DOCTYPE Delete [<!ENTITY e "k">]><Delete><Object><Key>&e;</Key></Object></Delete>'),
                    400, 'MalformedXML')
        self.expect(delete(b'<Delete>' + b' ' * (2 << 20) + b'<Object><Key>k</Key></Object></Delete>'), 400, 'MalformedXML')
        reply = delete(b'<Delete><Object><Key>dm/1</Key></Object><Object><Key>dm/a b</Key></Object></Delete>')
        self.assertEqual(reply.texts('Key'), ['dm%2F1', 'dm%2Fa%20b'])
        self.missing('dm/a b')

    def test_copies(self):
        self.put('c/src', DIGITS)
        self.expect(self.client.call('PUT', 'c/dst', headers={'x-oss-copy-source': 'bkt/c/src'}), 400, 'InvalidArgument')
        self.option(copy_size_limit=5)
        self.expect(self.client.call('PUT', 'c/dst', headers={'x-oss-copy-source': '/bkt/c/src'}), 400, 'EntityTooLarge')
        self.expect(self.client.call('PUT', 'c/src', headers={'x-oss-copy-source': '/bkt/c/src', 'x-oss-meta-n': '1'}), 200)
        self.assertEqual(self.client.call('HEAD', 'c/src').headers['x-oss-meta-n'], '1')
        self.option(copy_size_limit=0)
        self.expect(self.client.call('PUT', 'c/dst', headers={'x-oss-copy-source': '/bkt/c/src',
                                                              'x-oss-metadata-directive': 'MOVE'}), 400, 'InvalidArgument')

    def test_copied_parts_may_lack_their_crc(self):
        self.put('cp/src', DIGITS)
        self.option(copied_part_without_crc=True)
        upload = self.client.upload('cp/dst')
        etag = self.expect(self.client.part('cp/dst', upload, 1, headers={'x-oss-copy-source': '/bkt/cp/src'}), 200).headers['etag']
        self.option(copied_part_without_crc=False)
        self.assertEqual(self.client.call('GET', 'cp/dst', [('uploadId', upload)]).texts('HashCrc64ecma'), [])
        done = self.expect(self.client.complete('cp/dst', upload, [(1, etag)]), 200)
        self.assertNotIn('x-oss-hash-crc64ecma', done.headers)
        self.assertNotIn('x-oss-hash-crc64ecma', self.client.call('HEAD', 'cp/dst').headers)

    def test_the_etag_of_a_large_copied_part_is_no_md5(self):
        body = os.urandom(1 << 20) * 17
        self.put('cp/large', body)
        upload = self.client.upload('cp/etag')
        copy = lambda number, last: self.expect(self.client.part('cp/etag', upload, number, headers={
            'x-oss-copy-source': '/bkt/cp/large', 'x-oss-copy-source-range': f'bytes=1-{last}'}), 200).headers['etag'].strip('"')
        md5 = lambda data: hashlib.md5(data).hexdigest().upper()

        self.assertEqual(copy(1, 16 << 20), md5(body[1:(16 << 20) + 1]))
        self.assertNotEqual(copy(2, (16 << 20) + 1), md5(body[1:(16 << 20) + 2]))
        large = copy(3, (16 << 20) + 1)
        self.assertEqual(large, copy(2, (16 << 20) + 1))
        self.assertRegex(large, '^[0-9A-F]{32}$')
        done = self.expect(self.client.complete('cp/etag', upload, [(2, large), (3, large)]), 200)
        self.assertEqual(done.headers['etag'], f'"{md5((large * 2).encode())}-2"')
        self.assertEqual(self.client.call('GET', 'cp/etag').body, body[1:(16 << 20) + 2] * 2)

    def test_complete_checks_everything_and_combines_the_crc(self):
        bodies = {1: os.urandom(102400), 3: os.urandom(102401), 9: b'tail'}
        upload = self.client.upload('mp')
        etags = {n: self.expect(self.client.part('mp', upload, n, b), 200).headers['etag'] for n, b in bodies.items()}
        complete = lambda numbers: self.client.complete('mp', upload, [(n, etags[n]) for n in numbers])

        self.expect(complete([3, 1]), 400, 'InvalidPartOrder')
        self.expect(complete([1, 1]), 400, 'InvalidPartOrder')
        self.expect(complete([9, 9]), 400, 'InvalidPartOrder')
        self.expect(complete([]), 400, 'MalformedXML')
        self.expect(self.client.complete('mp', upload, [(2, etags[1])]), 400, 'InvalidPart')
        self.expect(self.client.complete('other', upload, [(1, etags[1])]), 404, 'NoSuchUpload')
        self.expect(self.client.part('mp', upload, 0, b'x'), 400, 'InvalidArgument')
        self.expect(self.client.call('POST', 'mp', [('uploadId', upload)], {'x-oss-complete-all': 'yes'}, 'x'), 400, 'InvalidArgument')
        self.expect(self.client.call('DELETE'), 409, 'BucketNotEmpty')
        done = self.expect(complete([1, 3, 9]), 200)
        self.assertEqual(int(done.headers['x-oss-hash-crc64ecma']), crc64(b''.join(bodies.values())))
        self.assertEqual(self.client.call('GET', 'mp').body, b''.join(bodies.values()))
        self.expect(complete([1, 3, 9]), 404, 'NoSuchUpload')

    def test_of_two_simultaneous_completes_one_wins(self):
        upload = self.client.upload('twice')
        etag = self.client.part('twice', upload, 1, b'x').headers['etag']
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            statuses = pool.map(lambda _: self.client.complete('twice', upload, [(1, etag)]).status, range(4))
        self.assertEqual(sorted(statuses), [200, 404, 404, 404])

    def test_listing_options(self):
        for i in range(5):
            self.put(f'l/{i}')
        self.option(list_short_pages=2)
        page = self.client.call('GET', None, [('list-type', '2'), ('prefix', 'l/'), ('max-keys', '4')])
        self.option(list_short_pages=0)
        self.assertEqual((page.texts('Key'), page.texts('IsTruncated'), page.texts('MaxKeys')),
                         (['l/0', 'l/1'], ['true'], ['4']))
        default = self.client.call('GET', None, [('list-type', '2')])
        self.assertEqual(default.texts('MaxKeys'), ['100'])
        for bad in ('0', '1001', 'x', '-1'):
            self.expect(self.client.call('GET', None, [('max-keys', bad)]), 400, 'InvalidArgument')


class Faults(Case):
    def test_status_with_code_and_headers(self):
        rule = self.fault('PutObject', {'type': 'status', 'status': 503, 'code': 'X', 'retry_after': 3, 'headers': {'x-a': 'b'}})
        reply = self.expect(self.client.call('PUT', 'f', body=b'x' * 300000), 503, 'X')
        self.assertEqual((reply.headers['retry-after'], reply.headers['x-a']), ('3', 'b'))
        self.missing('f')
        entry = self.server.log(fault=rule)[0]
        self.assertEqual((entry['status'], entry['code'], entry['bytes_in']), (503, 'X', 300000))

    def test_cuts_that_change_nothing(self):
        for action in ({'type': 'cut-before-body'}, {'type': 'cut-after-body'}, {'type': 'cut-after-bytes', 'bytes': 65536}):
            rule = self.fault('PutObject', action)
            self.assert_cut(lambda: self.client.call('PUT', 'cut', body=b'x' * 300000))
            self.server.control('DELETE', 'faults')
            self.missing('cut')
            entry = self.server.log(fault=rule)[0]
            self.assertEqual((entry['aborted'], entry['status']), (True, 0))
        self.assertEqual(entry['bytes_in'], 65536)

    def test_a_cut_reply(self):
        self.put('r', b'x' * 300000)
        self.fault('GetObject', {'type': 'cut-after-bytes', 'bytes': 1000})
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.client.call('GET', 'r')
        self.assertEqual(len(caught.exception.partial), 1000)

    def test_applied_and_not_answered(self):
        self.put('gone')
        upload = self.client.upload('an')
        etag = self.client.part('an', upload, 1, DIGITS).headers['etag']
        calls = {
            'PutObject': lambda: self.client.call('PUT', 'an0', body=DIGITS),
            'DeleteObject': lambda: self.client.call('DELETE', 'gone'),
            'CompleteMultipartUpload': lambda: self.client.complete('an', upload, [(1, etag)]),
            'CopyObject': lambda: self.client.call('PUT', 'an1', headers={'x-oss-copy-source': '/bkt/an0'}),
            'AppendObject': lambda: self.client.call('POST', 'an2', [('append', None), ('position', '0')], body=DIGITS),
        }
        for operation, call in calls.items():
            self.fault(operation, {'type': 'apply-no-answer'}, nth=1)
            self.assert_cut(call)
        for key in ('an0', 'an', 'an1', 'an2'):
            self.assertEqual(self.client.call('GET', key).body, DIGITS)
        self.missing('gone')
        self.expect(calls['CompleteMultipartUpload'](), 404, 'NoSuchUpload')

    def test_wrong_checksums_in_the_answer_only(self):
        self.fault('PutObject', {'type': 'wrong-crc'})
        self.fault('PutObject', {'type': 'wrong-etag'})
        reply = self.put('wrong')
        head = self.client.call('HEAD', 'wrong')
        self.assertEqual(int(head.headers['x-oss-hash-crc64ecma']), crc64(DIGITS))
        self.assertNotEqual(reply.headers['x-oss-hash-crc64ecma'], head.headers['x-oss-hash-crc64ecma'])
        self.assertNotEqual(reply.headers['etag'], head.headers['etag'])

    def test_corrupt_bodies_both_ways(self):
        self.fault('PutObject', {'type': 'corrupt-body', 'at': 5})
        reply = self.put('corrupt')
        self.assertEqual(int(reply.headers['x-oss-hash-crc64ecma']), crc64(b'0123446789'))
        self.assertEqual(self.client.call('GET', 'corrupt').body, b'0123446789')
        self.fault('GetObject', {'type': 'corrupt-body', 'at': 0})
        self.assertEqual(self.client.call('GET', 'corrupt').body, b'1123446789')

    def test_spoilt_xml(self):
        listing = lambda: self.client.call('GET', None, [('list-type', '2')])
        for kind in ('malformed-xml', 'truncated-xml'):
            self.fault('ListObjectsV2', {'type': kind}, nth=1)
            reply = self.expect(listing(), 200)
            self.assertRaises(ET.ParseError, lambda: reply.xml)
            self.server.control('DELETE', 'faults')
        self.fault('ListObjectsV2', {'type': 'html', 'status': 200})
        self.assertIn(b'<html>', self.expect(listing(), 200).body)
        self.server.control('DELETE', 'faults')
        upload = self.client.upload('empty200')
        etag = self.client.part('empty200', upload, 1, DIGITS).headers['etag']
        self.fault('CompleteMultipartUpload', {'type': 'empty-body-200'})
        self.assertEqual(self.expect(self.client.complete('empty200', upload, [(1, etag)]), 200).body, b'')
        self.missing('empty200')

    def test_lies_about_the_body(self):
        self.put('lie')
        self.fault('GetObject', {'type': 'bad-content-length'}, nth=1)
        self.assert_cut(lambda: self.client.call('GET', 'lie'), http.client.IncompleteRead)
        self.fault('GetObject', {'type': 'ignore-range'}, nth=1)
        reply = self.client.call('GET', 'lie', headers={'range': 'bytes=2-3'})
        self.assertEqual((reply.status, reply.body), (200, DIGITS))

    def test_left_out_keys_and_short_pages(self):
        for key in ('o/1', 'o/2'):
            self.put(key)
        body = b'<Delete><Object><Key>o/1</Key></Object><Object><Key>o/2</Key></Object></Delete>'
        self.fault('DeleteMultipleObjects', {'type': 'omit-key', 'omit': '*1'})
        reply = self.client.call('POST', None, [('delete', None)],
                                 {'content-md5': base64.b64encode(hashlib.md5(body).digest()).decode()}, body)
        self.assertEqual(reply.texts('Key'), ['o/2'])
        self.expect(self.client.call('HEAD', 'o/1'), 200)
        self.put('o/3')
        self.fault('ListObjectsV2', {'type': 'short-page', 'max': 1})
        page = self.client.call('GET', None, [('list-type', '2'), ('prefix', 'o/')])
        self.assertEqual((page.texts('Key'), page.texts('IsTruncated')), (['o/1'], ['true']))

    def test_behind_the_clients_back(self):
        upload = self.client.upload('back')
        self.fault('UploadPart', {'type': 'abort-upload'}, nth=1)
        self.expect(self.client.part('back', upload, 1, DIGITS), 404, 'NoSuchUpload')
        self.put('back2')
        etag = self.client.call('HEAD', 'back2').headers['etag']
        self.fault('GetObject', {'type': 'replace-object', 'body': 'new'}, nth=1)
        self.expect(self.client.call('GET', 'back2', headers={'if-match': etag}), 412, 'PreconditionFailed')
        self.server.control('POST', 'put-object', {'bucket': BUCKET, 'key': 'back2', 'body': 'eHl6', 'headers': {'x-oss-meta-a': '1'}})
        reply = self.client.call('GET', 'back2')
        self.assertEqual((reply.body, reply.headers['x-oss-meta-a']), (b'xyz', '1'))
        upload = self.client.upload('back')
        self.assertEqual(self.server.control('POST', 'abort-upload', {'bucket': BUCKET, 'key': 'back', 'upload_id': upload})[0], 200)
        self.expect(self.client.part('back', upload, 1, DIGITS), 404, 'NoSuchUpload')

    def test_delays_and_rates_take_their_time(self):
        self.put('slow', b'x' * 100000)
        for action, least in (({'type': 'delay', 'ms': 200}, 0.2), ({'type': 'stall', 'ms': 200}, 0.2),
                              ({'type': 'stall', 'ms': 200, 'bytes': 1000}, 0.2),
                              ({'type': 'slow', 'bytes_per_s': 200000, 'qos_delay_ms': 7}, 0.3)):
            self.fault('GetObject', action)
            began = time.monotonic()
            reply = self.expect(self.client.call('GET', 'slow'), 200)
            self.assertGreaterEqual(time.monotonic() - began, least, action)
            self.assertEqual(reply.body, b'x' * 100000)
            self.server.control('DELETE', 'faults')
        self.assertEqual(reply.headers['x-oss-qos-delay-time'], '7')

    def test_a_stall_ends_when_the_client_goes(self):
        when = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        headers = {'x-oss-date': when, 'x-oss-content-sha256': 'UNSIGNED-PAYLOAD'}
        headers['authorization'] = sign_v4('GET', '/bkt/k', [], headers, 'ak', 'sk', 'cn-hangzhou', when)
        rule = self.fault('GetObject', {'type': 'stall'})
        connection = self.server.connection()
        connection.timeout = 0.2
        connection.request('GET', '/bkt/k', headers=headers)
        with self.assertRaises(TimeoutError):
            connection.getresponse()
        connection.close()
        deadline = time.monotonic() + 20
        while not self.server.log(fault=rule) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual([e['aborted'] for e in self.server.log(fault=rule)], [True])

    def test_a_stall_ends_when_the_rules_are_cleared(self):
        self.put('held', b'x' * 100000)
        for place in ({'when': 'before-body'}, {'when': 'after-apply'}, {'bytes': 1000}):
            rule = self.fault('GetObject', {'type': 'stall', 'until': 'cleared', **place})
            replies = []
            thread = threading.Thread(target=lambda: replies.append(self.client.call('GET', 'held')))
            thread.start()
            deadline = time.monotonic() + 20
            while not json.loads(self.server.control('GET', 'faults')[1])[0]['acted'] and time.monotonic() < deadline:
                time.sleep(0.01)
            self.fault('PutObject', {'type': 'stall', 'until': 'cleared'})  # another rule lets nothing go
            self.assertEqual((replies, self.server.log(fault=rule)), ([], []))
            self.server.control('DELETE', 'faults')
            thread.join()
            self.assertEqual((replies[0].status, replies[0].body), (200, b'x' * 100000))

    def test_rules_merge_and_count(self):
        self.put('merge')
        self.fault('GetObject', {'type': 'delay', 'ms': 1}, id='a')
        self.fault('GetObject', {'type': 'expire-token'}, id='b', every=2)
        statuses = [self.client.call('GET', 'merge').status for _ in range(4)]
        self.assertEqual(statuses, [200, 403, 200, 403])
        counts = {r['id']: (r['seen'], r['acted']) for r in json.loads(self.server.control('GET', 'faults')[1])}
        self.assertEqual(counts, {'a': (4, 4), 'b': (4, 2)})
        self.assertEqual(len(self.server.log(fault='a,b')), 2)


class Switches(Case):
    def test_a_wrong_clock_shows_in_the_date_header(self):
        self.server.control('POST', 'time', {'offset': 1200})
        self.expect(self.client.call('GET', 'k'), 403, 'RequestTimeTooSkewed')
        self.expect(Client(self.server, skew=1200).call('GET', 'k'), 404, 'NoSuchKey')
        self.server.control('POST', 'time', {'offset': 0})
        self.expect(self.client.call('GET', 'k'), 404, 'NoSuchKey')

    def test_rates_of_the_whole_server(self):
        self.option(bandwidth_up=1000000)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda i: self.put(f'bw{i}', b'x' * 100000), range(3)))
        self.assertGreaterEqual(time.monotonic() - began, 0.15)
        self.option(bandwidth_up=0, bandwidth_down=1000000)
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda i: self.client.call('GET', f'bw{i}'), range(3)))
        self.assertGreaterEqual(time.monotonic() - began, 0.15)
        self.option(bandwidth_down=0, qps=1)
        statuses = {self.client.call('GET', 'bw0').status for _ in range(5)}
        self.option(qps=0)
        self.assertEqual(statuses, {200, 503})

    def test_unknown_switches_are_refused(self):
        self.assertEqual(self.server.control('POST', 'option', {'warp': 9})[0], 400)
        self.assertEqual(self.server.control('POST', 'option', {'qps': 'many'})[0], 400)
        self.assertEqual(self.server.control('POST', 'nonsense', {})[0], 400)


class Log(Case):
    def test_who_has_the_answer_finds_the_line(self):
        self.server.control('DELETE', 'log')
        self.put('log', b'x' * 1000000)
        self.client.call('GET', 'log')
        self.client.call('GET', 'log', headers={'range': 'bytes=0-99999'})
        upload = self.client.upload('log2')
        self.client.part('log2', upload, 7, b'x' * 10)
        shown = [(e['operation'], e['key'], e['status'], e['bytes_in'], e['bytes_out']) for e in self.server.log()
                 if e['operation'] != 'InitiateMultipartUpload']
        self.assertEqual(shown, [('PutObject', 'log', 200, 1000000, 0), ('GetObject', 'log', 200, 0, 1000000),
                                 ('GetObject', 'log', 206, 0, 100000), ('UploadPart', 'log2', 200, 10, 0)])
        part = self.server.log(operation='UploadPart')[0]
        self.assertEqual((part['part'], part['upload_id'], part['in_flight']), (7, upload, 1))
        self.assertEqual(self.server.log(operation='GetObject')[1]['range'], 'bytes=0-99999')

    def test_requests_in_flight_are_counted(self):
        self.server.control('DELETE', 'log')
        when = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        headers = {'x-oss-date': when, 'x-oss-content-sha256': 'UNSIGNED-PAYLOAD'}
        headers['authorization'] = sign_v4('PUT', '/bkt/flight', [], headers, 'ak', 'sk', 'cn-hangzhou', when)
        headers |= {'host': 'x', 'content-length': '10', 'expect': '100-continue'}
        head = 'PUT /bkt/flight HTTP/1.1\r\n' + ''.join(f'{k}: {v}\r\n' for k, v in headers.items()) + '\r\n'
        sockets = [socket.create_connection(('127.0.0.1', self.server.port)) for _ in range(4)]
        for s in sockets:  # "100 Continue" says that this one has begun
            s.sendall(head.encode())
            self.assertTrue(s.recv(4096).startswith(b'HTTP/1.1 100'))
        for s in sockets:
            s.sendall(DIGITS)
            self.assertTrue(s.recv(4096).startswith(b'HTTP/1.1 200'))
            s.close()
        self.assertEqual([e['in_flight'] for e in self.server.log()], [1, 2, 3, 4])

    def test_state(self):
        self.put('state', b'x' * 7)
        state = json.loads(self.server.control('GET', 'state')[1])
        self.assertGreaterEqual(state['buckets'][0]['objects'], 1)


class Restart(unittest.TestCase):
    def test_a_killed_server_is_back_on_its_port_with_everything(self):
        server = Server()
        client = Client(server)
        body = os.urandom(200000)
        client.call('PUT', 'kept', headers={'x-oss-meta-a': '1', 'x-oss-tagging': 'k=v'}, body=body)
        upload = client.upload('going on')
        etag = client.part('going on', upload, 1, body).headers['etag']
        server.kill()
        port = server.port
        server.start()
        self.assertEqual(server.port, port)
        reply = client.call('GET', 'kept')
        self.assertEqual((reply.body, reply.headers['x-oss-meta-a'], reply.headers['x-oss-tagging-count']), (body, '1', '1'))
        self.assertEqual(client.call('GET', 'going on', [('uploadId', upload)]).texts('PartNumber'), ['1'])
        self.assertEqual(client.complete('going on', upload, [(1, etag)]).status, 200)
        server.kill()
        server.start()
        self.assertEqual(client.call('GET', 'going on').body, body)
        client.call('DELETE', 'going on')
        client.call('DELETE', 'kept')
        left = [f for _, _, files in os.walk(os.path.join(server.root, 'data')) for f in files]
        self.assertEqual(left, [])
        self.assertEqual(server.stop(), 0)


class Hierarchical(Case):
    options = ('--hns',)

    def rename(self, source, target):
        return self.client.call('POST', target, [('x-oss-rename', None)], {'x-oss-rename-source': encode(source, '/')})

    def test_directories_and_renames(self):
        self.assertEqual(self.client.call('GET', None, [('bucketInfo', None)]).texts('HierarchicalNamespace'), ['Enabled'])
        self.put('d/e/f 1')
        self.expect(self.client.call('POST', 'd/x', [('x-oss-dir', None)]), 200)
        self.expect(self.client.call('POST', 'd/e/f 1', [('x-oss-dir', None)]), 409, 'FileAlreadyExists')
        self.expect(self.client.call('PUT', 'd/e', body=b''), 409, 'FileAlreadyExists')
        self.expect(self.rename('d/e', 'd/x'), 409, 'FileAlreadyExists')
        self.expect(self.rename('d/e', 'no/e'), 404, 'NoSuchKey')
        self.expect(self.rename('d/no', 'd/y'), 404, 'NoSuchKey')
        self.expect(self.rename('d/e', 'd/x/e2'), 200)
        self.assertEqual(self.client.call('GET', 'd/x/e2/f 1').body, DIGITS)
        self.missing('d/e/f 1')
        self.expect(self.rename('d/x/e2/f 1', 'd/g'), 200)
        self.expect(self.client.call('POST', 'd', [('x-oss-delete', None)]), 409, 'FileAlreadyExists')
        reply = self.client.call('POST', 'd', [('x-oss-delete', None)], {'x-oss-delete-recursive': 'true'})
        self.assertEqual((reply.texts('DeleteNumber'), reply.texts('NextDeleteToken')), (['4'], []))
        self.assertEqual(self.client.call('GET', None, [('list-type', '2')]).texts('Key'), [])

    def test_a_large_directory_takes_several_calls(self):
        for i in range(150):
            self.put(f'big/{i}')
        headers = {'x-oss-delete-recursive': 'true'}
        first = self.client.call('POST', 'big', [('x-oss-delete', None)], headers)
        self.assertEqual(first.texts('DeleteNumber'), ['100'])
        headers['x-oss-delete-token'] = first.texts('NextDeleteToken')[0]
        last = self.client.call('POST', 'big', [('x-oss-delete', None)], headers)
        self.assertEqual((last.texts('DeleteNumber'), last.texts('NextDeleteToken')), (['51'], []))

    def test_what_is_not_there(self):
        self.expect(self.client.call('POST', 'a', [('append', None), ('position', '0')], body=b'x'), 400, 'OperationNotSupported')
        self.expect(self.client.call('PUT', 'a//b', body=b'x'), 400, 'InvalidObjectName')


class S3Client(Client):
    """Signs as S3's clients do; only the host and what S3 asks for are signed."""
    def call(self, method, key=None, query=(), headers=None, body=None, bucket=BUCKET):
        when = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(time.time() + self.skew))
        path = encode(f'/{bucket}/{key or ""}', '/')
        headers = {**(headers or {}), 'host': f'127.0.0.1:{self.server.port}', 'x-amz-date': when,
                   'x-amz-content-sha256': hashlib.sha256(body or b'').hexdigest()}
        names = sorted(headers)
        text = '&'.join(f'{encode(k)}={encode(v or "")}' for k, v in sorted(query))
        canonical = '\n'.join([method, path, text, ''.join(f'{k}:{headers[k]}\n' for k in names), ';'.join(names),
                               headers['x-amz-content-sha256']])
        scope = f'{when[:8]}/anywhere/s3/aws4_request'
        to_sign = '\n'.join(['AWS4-HMAC-SHA256', when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = ('AWS4' + self.secret).encode()
        for step in (*scope.split('/'), to_sign):
            signature = hmac.new(signature, step.encode(), hashlib.sha256).digest()
        headers['authorization'] = (f'AWS4-HMAC-SHA256 Credential={self.key_id}/{scope}, '
                                    f'SignedHeaders={";".join(names)}, Signature={signature.hex()}')
        return self.send(method, path + ('?' + text if text else ''), headers, body)


class S3(Case):
    options = ('--s3',)

    def test_objects_and_their_headers(self):
        client = S3Client(self.server)
        headers = {'x-amz-meta-color': 'blue', 'x-amz-acl': 'private', 'x-amz-storage-class': 'STANDARD'}
        self.expect(client.call('PUT', 'a b/c', headers=headers, body=DIGITS), 200)
        reply = client.call('GET', 'a b/c', headers={'range': 'bytes=2-4'})
        self.assertEqual((reply.status, reply.body, reply.headers['x-amz-meta-color']), (206, b'234', 'blue'))
        self.assertEqual([name for name in reply.headers if name.startswith('x-oss-meta')], [])
        copied = client.call('PUT', 'copy', headers={'x-amz-copy-source': f'/{BUCKET}/a%20b/c'})
        self.expect(copied, 200)
        listed = client.call('GET', None, [('list-type', '2'), ('prefix', '')])
        self.assertEqual(listed.texts('Key'), ['a b/c', 'copy'])
        self.assertEqual(self.client.call('HEAD', 'copy').headers['x-oss-meta-color'], 'blue')

    def test_signatures_that_do_not_hold(self):
        self.expect(S3Client(self.server, secret='other').call('PUT', 'k', body=b'x'), 403, 'SignatureDoesNotMatch')
        self.expect(S3Client(self.server, key_id='nobody').call('GET', 'k'), 403, 'InvalidAccessKeyId')
        self.missing('k')

    def test_nobody_else_takes_it(self):
        server = Server()
        self.expect(S3Client(server).call('GET', None), 400, 'InvalidArgument')
        self.assertEqual(server.stop(), 0)


class Tls(unittest.TestCase):
    def test_https(self):
        folder = tempfile.mkdtemp()
        cert, key = os.path.join(folder, 'cert'), os.path.join(folder, 'key')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj',
                        '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-keyout', key, '-out', cert],
                       check=True, stderr=subprocess.DEVNULL)
        server = Server('--tls-cert', cert, '--tls-key', key)
        context = ssl.create_default_context(cafile=cert)
        server.connection = lambda: http.client.HTTPSConnection('127.0.0.1', server.port, timeout=30, context=context)
        body = os.urandom(300000)
        client = Client(server)
        self.assertEqual(client.call('PUT', 'k', body=body).status, 200)
        self.assertEqual(client.call('GET', 'k').body, body)
        self.assertEqual(server.stop(), 0)
        shutil.rmtree(folder)


if __name__ == '__main__':
    SERVER = sys.argv.pop(1)
    unittest.main()
