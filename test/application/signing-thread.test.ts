import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { compactVerify } from 'jose';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CurveAlgorithm } from '../../src/application/jws.ts';
import { SigningThread } from '../../src/application/signing-thread.ts';

const ecKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const edKey = () => generateKeyPairSync('ed25519').privateKey;

function signingThread() {
  const thread = new SigningThread();
  onTestFinished(() => thread.close());
  const signAll = (texts: readonly string[], privateKey: KeyObject, alg: CurveAlgorithm = 'ES256') => {
    const header = Buffer.from(JSON.stringify({ alg })).toString('base64url');
    return texts.map((text) => thread.sign(`${header}.${JSON.stringify({ text })}`, alg, privateKey));
  };
  return { thread, signAll };
}

async function textsIn(signed: readonly string[], privateKey: KeyObject): Promise<string[]> {
  const publicKey = createPublicKey(privateKey);
  const verified = await Promise.all(signed.map((jws) => compactVerify(jws, publicKey)));
  return verified.map(({ payload }) => JSON.parse(new TextDecoder().decode(payload)).text);
}

const texts = (count: number) => Array.from({ length: count }, (_, index) => `ä.${index}`);

describe('what is signed', () => {
  it.each([1, 3, 4, 16, 17, 100])('%i at once is given to whoever asked for it', async (count) => {
    const { signAll } = signingThread();
    const key = ecKey();
    const signed = await Promise.all(signAll(texts(count), key));
    expect(await textsIn(signed, key)).toEqual(texts(count));
  });

  it('with several keys at once is signed with the right one each', async () => {
    const { signAll } = signingThread();
    const keys = [ecKey(), ecKey(), edKey()] as const;
    for (let round = 0; round < 2; round++) {
      const signed = keys.map((key) =>
        signAll(texts(20), key, key.asymmetricKeyType === 'ed25519' ? 'EdDSA' : 'ES256'),
      );
      for (const [place, key] of keys.entries()) {
        expect(await textsIn(await Promise.all(signed[place] ?? []), key)).toEqual(texts(20));
      }
    }
  });
});

describe('a thread that ends', () => {
  it('at a key that cannot sign fails those who asked for that, and nobody after them', async () => {
    const { signAll } = signingThread();
    const key = ecKey();
    const results = await Promise.allSettled(signAll(texts(8), createPublicKey(key)));
    expect(results.map(({ status }) => status)).toEqual(Array(8).fill('rejected'));
    expect(await textsIn(await Promise.all(signAll(texts(8), key)), key)).toEqual(texts(8));
  });

  it('leaves nobody without an answer', async () => {
    const { thread, signAll } = signingThread();
    const key = ecKey();
    const signed = signAll(texts(80), key);
    await thread.close();
    expect(await textsIn(await Promise.all(signed), key)).toEqual(texts(80));
  });
});
