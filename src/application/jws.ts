import { type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { JWTPayload } from 'jose';
import type { SigningAlgorithm } from '../domain/instance/signing-keys.ts';

const signElsewhere = promisify(sign);

/**
 * A JWT in JWS compact serialization (RFC 7515 section 3.1). Made here because a grant is mostly this: a signature on an
 * elliptic curve costs less than the way to another thread and back, which Web Crypto, and so `jose`, takes for each.
 * One of RSA costs ten times as much, and goes there.
 *
 * @param header base64url of the protected header
 */
export async function compactJws(
  header: string,
  payload: JWTPayload,
  algorithm: SigningAlgorithm,
  key: KeyObject,
): Promise<string> {
  const input = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`;
  const signature = await signatureOf(Buffer.from(input), algorithm, key);
  return `${input}.${signature.toString('base64url')}`;
}

function signatureOf(input: Buffer, algorithm: SigningAlgorithm, key: KeyObject): Buffer | Promise<Buffer> {
  switch (algorithm) {
    case 'ES256':
      return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
    case 'EdDSA':
      return sign(null, input, key);
    case 'RS256':
      return signElsewhere('sha256', input, key);
  }
}
