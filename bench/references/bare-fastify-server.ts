import { generateKeyPairSync, sign, verify } from 'node:crypto';
import formbody from '@fastify/formbody';
import fastify from 'fastify';

/**
 * The floor of what this HTTP server can do: a route that signs a JWT with ES256 and knows nobody, and one that only
 * checks such a signature. Prints its URL, and serves until it is killed.
 */
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const header = Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: 'bench' })).toString(
  'base64url',
);

const app = fastify();
await app.register(formbody);
app.post('/token', async () => {
  const issuedAt = Math.floor(Date.now() / 1000);
  const payload = {
    iss: 'http://localhost:8080',
    sub: '200000000000000003',
    client_id: 'robot-3',
    aud: ['robot-3'],
    scope: 'profile',
    iat: issuedAt,
    nbf: issuedAt,
    exp: issuedAt + 3600,
    jti: crypto.randomUUID(),
    'urn:keyturn:token_epoch': 0,
  };
  const input = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
  return {
    access_token: `${input}.${signed(input)}`,
    token_type: 'Bearer',
    expires_in: 3600,
  };
});
app.post('/introspect', async (request) => {
  const { token } = request.body as { token: string };
  const [head = '', payload = '', signature = ''] = token.split('.');
  const key = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
  const input = Buffer.from(`${head}.${payload}`);
  if (!verify('sha256', input, key, Buffer.from(signature, 'base64url'))) return { active: false };
  return { active: true, ...JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) };
});
process.stdout.write(`${await app.listen({ port: 0 })}\n`);

function signed(input: string): string {
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return sign('sha256', Buffer.from(input), key).toString('base64url');
}
