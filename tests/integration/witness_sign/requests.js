'use strict';
/*
 * Random requests, each with the Authorization header that ali-oss's own signUtils gives it; one
 * JSON object a line.
 *
 *   node requests.js FOLDER_WITH_NODE_MODULES COUNT SEED
 *
 * Half are V1, half V4. What is left out, because ali-oss departs from the protocol there:
 *   - V4 sorts parameters by localeCompare() of their names, not by the bytes of their encoded
 *     names: requests where that makes a difference are drawn again;
 *   - it writes "name=" for a parameter whose value is "": here such a value is null;
 *   - it trims all that is blank in Unicode from header values, but V1 not from Content-Type: here
 *     they begin and end visibly, or with plain blanks where it trims.
 */
const path = require('path');
const { createRequire } = require('module');

const [folder, count, seed] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const sign = createRequire(path.join(path.resolve(folder), 'x.js'))('ali-oss/lib/common/signUtils');

/* mulberry32: small, and the same everywhere. */
let state = seed >>> 0;
function random(limit) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % limit;
}
const pick = list => list[random(list.length)];
const chance = percent => random(100) < percent;

const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i));
const control = Array.from({ length: 31 }, (_, i) => String.fromCharCode(1 + i)).concat('\x7f');
const beyond = ['\u0080', '\u0085', '\u009f', '\u00a0', 'é', 'ß', 'İ', 'ﬀ', '目', '录', '\u200b', '\u202e',
  '\u2028', '\ufeff', '\ufffd', '\uffff', '😀', '\u{1f1e8}\u{1f1f3}', 'e\u0301', '\u{10ffff}', '\ud7ff', '\ue000'];

function text(max) {
  let s = '';
  for (let n = random(max); n > 0; n--) {
    const kind = random(10);
    s += kind < 6 ? pick(printable) : kind < 8 ? pick(control) : pick(beyond);
  }
  return s;
}

/* Every printable and every control character comes in turn, whatever the dice say. */
let turn = 0;
function key() {
  const all = printable.concat(control, beyond);
  const fixed = [0, 1, 2].map(() => all[turn++ % all.length]).join('');
  const s = `${text(20)}${fixed}${text(20)}${chance(10) ? '/' : ''}`;
  return chance(10) ? `a//b/./../${s}` : s;
}

const subResources = ['acl', 'append', 'continuation-token', 'delete', 'objectMeta', 'partNumber', 'position',
  'response-cache-control', 'response-content-disposition', 'response-content-type', 'restore', 'security-token',
  'stat', 'symlink', 'tagging', 'uploadId', 'uploads', 'versionId', 'versioning', 'versions', 'bucketInfo', 'location',
  'callback', 'callback-var', 'x-oss-process', 'x-oss-traffic-limit', 'requestPayment', 'requesterQosInfo', 'seal'];
const plainParameters = ['list-type', 'prefix', 'delimiter', 'marker', 'max-keys', 'start-after', 'encoding-type',
  'fetch-owner', 'max-parts', 'part-number-marker', 'key-marker', 'upload-id-marker', 'max-uploads'];
const methods = ['GET', 'PUT', 'POST', 'HEAD', 'DELETE'];

function query() {
  const names = new Set();
  for (let n = random(6); n > 0; n--) names.add(pick(chance(70) ? subResources : plainParameters));
  return [...names].map(name => [name, chance(30) ? null : text(15) || null]);
}

const visible = printable.slice(1);
function headerValue() {
  const inner = Array.from({ length: random(20) }, () => (chance(85) ? pick(printable) : pick(beyond))).join('');
  const pad = chance(15) ? '  ' : '';
  return `${pad}${pick(visible)}${inner}${pick(visible)}${pad}`;
}
const anyCase = s => [...s].map(c => (chance(20) ? c.toUpperCase() : c)).join('');

function headers(date) {
  const list = [['x-oss-date', date]];
  if (chance(50)) list.push([anyCase('content-type'), pick(['text/plain', 'application/octet-stream', headerValue().trim()])]);
  if (chance(20)) list.push([anyCase('content-md5'), 'eB5eJF1ptWaXm4bijSPyxw==']);
  if (chance(30)) list.push([anyCase('x-oss-security-token'), `CAIS${'aB9+/='.repeat(1 + random(60))}`]);
  for (let n = random(4), i = 0; i < n; i++) list.push([anyCase(`x-oss-meta-${pick(['a', 'a-b', 'mtime', 'z'])}${i}`), headerValue()]);
  if (chance(50)) list.push(['Range', `bytes=${random(1000)}-`]);
  if (chance(50)) list.push(['host', 'b.oss-cn-hangzhou.aliyuncs.com']);
  if (chance(20)) list.push(['If-Match', '"5B3C1A2E053D763E1B002CC607C5A0FE"']);
  return list.sort(() => random(3) - 1);
}

function common(date) {
  const bucket = chance(5) ? null : `bucket-${random(1000)}`;
  return {
    method: pick(methods),
    bucket,
    key: bucket && chance(90) ? key() : null,
    query: query(),
    headers: headers(date),
    access_key_id: `LTAI${random(1e9)}`,
    access_key_secret: Array.from({ length: 1 + random(40) }, () => pick(visible)).join('')
  };
}

function v1() {
  const r = common(new Date(random(2e9) * 1000).toUTCString());
  const resource = `/${r.bucket ? `${r.bucket}/` : ''}${r.key || ''}`;
  const parameters = Object.fromEntries(r.query.filter(([name]) => subResources.includes(name)));
  const canonical = sign.buildCanonicalString(r.method, resource, { headers: Object.fromEntries(r.headers), parameters });
  r.authorization = sign.authorization(r.access_key_id, r.access_key_secret, canonical);
  return { version: 1, ...r };
}

const bytewise = names => [...names].sort((a, b) => Buffer.compare(Buffer.from(encodeURIComponent(a)), Buffer.from(encodeURIComponent(b))));
function sortedAlike(names) {
  const theirs = [...names].sort((a, b) => a.localeCompare(b));
  return bytewise(names).every((name, i) => name === theirs[i]);
}

let drawnAgain = 0;
function v4() {
  const r = common(new Date(random(2e9) * 1000).toISOString().replace(/[-:]|\.\d+/g, ''));
  if (!sortedAlike(r.query.map(([name]) => name))) {
    drawnAgain++;
    return v4();
  }
  r.region = pick(['cn-hangzhou', 'us-west-1', 'cb-1234']);
  const box = r.region.startsWith('cb-') ? r.region : undefined;
  r.product = sign.getProduct(box);
  r.headers.push(['x-oss-content-sha256', 'UNSIGNED-PAYLOAD']);
  r.additional_headers = r.headers.map(([name]) => name).filter(() => chance(25)).map(anyCase);
  if (chance(20)) r.additional_headers.push(...r.additional_headers);
  r.authorization = sign.authorizationV4(r.access_key_id, r.access_key_secret, r.region, r.method,
    { headers: Object.fromEntries(r.headers), queries: Object.fromEntries(r.query) }, r.bucket, r.key,
    r.additional_headers, 'utf-8', box);
  return { version: 4, ...r };
}

for (let i = 0; i < count; i++) process.stdout.write(`${JSON.stringify(i % 2 ? v4() : v1())}\n`);
process.stderr.write(`seed ${seed}: ${count} requests, ${drawnAgain} drawn again for ali-oss's order of parameters\n`);
