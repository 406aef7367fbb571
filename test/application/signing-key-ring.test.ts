import { type JWTPayload, SignJWT } from 'jose';
import { expect, it, onTestFinished } from 'vitest';
import { MasterKeys } from '../../src/application/master-keys.ts';
import { SigningKeyRing } from '../../src/application/signing-key-ring.ts';
import { generateSigningKey, openSigningKey } from '../../src/application/signing-keys.ts';
import { TestClock } from '../support/application.ts';

const masterKeys = new MasterKeys(new Uint8Array(32));
const issuer = 'https://keyturn.example';
const expected = { type: 'at+jwt', issuer };

/** A ring that publishes one key, and JWTs by that key. */
async function ringWithKey() {
  const clock = new TestClock();
  const key = await generateSigningKey('ES256', masterKeys);
  const since = new Date(clock.now.getTime() - 1000).toISOString();
  const published = [{ ...key, creationDate: since, signsFrom: since }];
  const ring = new SigningKeyRing({
    directory: { signingKeysVersion: () => 1, signingKeys: () => published },
    masterKeys,
    clock: clock.read,
  });
  onTestFinished(() => ring.close());
  const seconds = Math.floor(clock.now.getTime() / 1000);
  const right: JWTPayload = { iss: issuer, sub: 'robot', aud: ['api'], exp: seconds + 60, jti: 'one' };
  const sign = async (claims: JWTPayload = {}, header: object = {}, by = key) =>
    new SignJWT({ ...right, ...claims })
      .setProtectedHeader({ alg: 'ES256', typ: expected.type, kid: key.keyId, ...header })
      .sign(await openSigningKey(by, masterKeys));
  return { ring, right, seconds, sign };
}

it('takes what a published key has signed', async () => {
  const { ring, right, sign } = await ringWithKey();
  expect(await ring.verify(await sign(), expected)).toEqual(right);
});

it('takes no JWT for another purpose, of another issuer, without what it must say, or past its time', async () => {
  const { ring, seconds, sign } = await ringWithKey();
  const wrong: [JWTPayload, object?][] = [
    [{}, { typ: 'JWT' }],
    [{}, { typ: undefined }],
    [{ iss: 'https://other.example' }],
    ...['iss', 'sub', 'aud', 'exp', 'jti'].map((claim): [JWTPayload] => [{ [claim]: undefined }]),
    [{ exp: seconds - 1 }],
  ];
  for (const [claims, header] of wrong) {
    const told = [claims, header, await ring.verify(await sign(claims, header), expected)];
    expect(told).toEqual([claims, header, undefined]);
  }
});

it('takes nothing of a key that is not published, whatever its header says', async () => {
  const { ring, sign } = await ringWithKey();
  const other = await generateSigningKey('ES256', masterKeys);
  const jwts = [
    await sign({}, {}, other),
    await sign({}, { kid: other.keyId }, other),
    await sign({}, { kid: undefined }),
  ];
  for (const jwt of jwts) expect(await ring.verify(jwt, expected)).toBeUndefined();
});
