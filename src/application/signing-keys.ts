import { createPrivateKey, type KeyObject, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import type { SigningAlgorithm } from '../domain/instance/signing-keys.ts';
import { type MasterKeys, WrongMasterKeyError } from './master-keys.ts';

/** A signing key as the events hold it: the private part encrypted under the master key. */
export interface StoredSigningKey {
  readonly keyId: string;
  readonly algorithm: SigningAlgorithm;
  readonly publicKey: Readonly<Record<string, string>>;
  readonly encryptedPrivateKey: string;
}

/** Private JWK members that a public one does not have (RFC 7518 section 6, RFC 8037 section 2). */
const privateMembers = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi', 'key_ops', 'ext']);

export async function generateSigningKey(
  algorithm: SigningAlgorithm,
  masterKeys: MasterKeys,
): Promise<StoredSigningKey> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = await exportJWK(privateKey);
  const publicMembers = Object.entries(jwk).filter(([name]) => !privateMembers.has(name));
  return {
    keyId: randomUUID(),
    algorithm,
    publicKey: Object.fromEntries(publicMembers) as Record<string, string>,
    encryptedPrivateKey: await masterKeys.encrypt(new TextEncoder().encode(JSON.stringify(jwk))),
  };
}

/** @throws WrongMasterKeyError */
export async function openSigningKey(key: StoredSigningKey, masterKeys: MasterKeys): Promise<KeyObject> {
  try {
    const { plaintext } = await masterKeys.decrypt(key.encryptedPrivateKey);
    const jwk = JSON.parse(new TextDecoder().decode(plaintext)) as JWK;
    return createPrivateKey({ key: jwk, format: 'jwk' });
  } catch (error) {
    if (!(error instanceof WrongMasterKeyError)) throw error;
    throw new WrongMasterKeyError(`the master key does not open signing key ${key.keyId}`, { cause: error });
  }
}
