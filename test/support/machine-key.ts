import { createPrivateKey, randomUUID } from 'node:crypto';
import { importPKCS8, SignJWT } from 'jose';
import type { CallManagement } from './running-service.ts';

/** The file that AddMachineKey answers, as ZITADEL's clients read it. */
export interface KeyFile {
  readonly type: 'serviceaccount';
  readonly keyId: string;
  /** PEM, PKCS #1 */
  readonly key: string;
  readonly userId: string;
}

export async function addMachineKey(
  call: CallManagement,
  userId: string,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<KeyFile> {
  const { body } = await call('POST', `/users/${userId}/keys`, { type: 'KEY_TYPE_JSON', ...fields });
  return JSON.parse(Buffer.from(body.keyDetails, 'base64').toString()) as KeyFile;
}

export function privateKeyOf({ key }: KeyFile): Promise<CryptoKey> {
  return importPKCS8(createPrivateKey(key).export({ type: 'pkcs8', format: 'pem' }).toString(), 'RS256');
}

export interface AssertionOverrides {
  readonly header?: Readonly<Record<string, unknown>>;
  /** Undefined leaves a claim out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly algorithm?: string;
  readonly key?: CryptoKey | Uint8Array;
}

/** An assertion (RFC 7523) that is right, but for `overrides`. */
export async function signAssertion(
  keyFile: KeyFile,
  issuer: string,
  { header = {}, claims = {}, algorithm = 'RS256', key }: AssertionOverrides = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const { userId, keyId } = keyFile;
  const right = { iss: userId, sub: userId, aud: issuer, iat: now, exp: now + 60, jti: randomUUID() };
  const payload = Object.fromEntries(
    Object.entries({ ...right, ...claims }).filter(([, value]) => value !== undefined),
  );
  return new SignJWT(payload)
    .setProtectedHeader({ alg: algorithm, kid: keyId, ...header })
    .sign(key ?? (await privateKeyOf(keyFile)));
}
