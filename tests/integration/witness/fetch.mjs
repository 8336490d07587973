// Fetch an object with ali-oss and print its SHA-256: fetch.mjs MODULES ENDPOINT BUCKET KEY
// Keys come from OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const [modules, endpoint, bucket, key] = process.argv.slice(2);
const OSS = createRequire(`${modules}/`)('ali-oss');
const client = new OSS({
  endpoint,
  bucket,
  region: 'cn-hangzhou',
  sldEnable: true,
  authorizationV4: true,
  accessKeyId: process.env.OSS_ACCESS_KEY_ID,
  accessKeySecret: process.env.OSS_ACCESS_KEY_SECRET,
  timeout: 120000,
});
const hash = createHash('sha256');
const { stream } = await client.getStream(key);
for await (const chunk of stream) hash.update(chunk);
console.log(hash.digest('hex'));
