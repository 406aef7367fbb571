import { type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { SigningAlgorithm } from '../domain/instance/signing-keys.ts';

const signInThreadPool = promisify(sign);

/** Algorithms whose signatures cost less than the way to the thread pool and back. */
export type CurveAlgorithm = Exclude<SigningAlgorithm, 'RS256'>;

/** Between several in one text, signed or not: neither JSON without spaces nor base64url has a line break. */
export const jwsSeparator = '\n';

/**
 * A JWT in JWS compact serialization (RFC 7515 section 3.1). Made here because a grant is mostly this: `jose` signs with Web
 * Crypto, which takes each single one to the thread pool.
 *
 * @param unsigned the protected header in base64url, a dot, and the payload as JSON: one text goes to another thread for a third
 *   of what an object of two costs
 */
export function signOnCurve(unsigned: string, algorithm: CurveAlgorithm, key: KeyObject): string {
  const input = signingInputOf(unsigned);
  const signature =
    algorithm === 'ES256'
      ? sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
      : sign(null, Buffer.from(input), key);
  return `${input}.${signature.toString('base64url')}`;
}

/** The same with RSA, which costs about twenty times as much: in the thread pool. */
export async function signWithRsa(unsigned: string, key: KeyObject): Promise<string> {
  const input = signingInputOf(unsigned);
  const signature = await signInThreadPool('sha256', Buffer.from(input), key);
  return `${input}.${signature.toString('base64url')}`;
}

function signingInputOf(unsigned: string): string {
  const dot = unsigned.indexOf('.');
  return `${unsigned.slice(0, dot)}.${Buffer.from(unsigned.slice(dot + 1)).toString('base64url')}`;
}
