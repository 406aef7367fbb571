import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { machineUser } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import { exists } from '../domain/machine-user/state.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { ChangeDetails, MachineUserReference } from './machine-users.ts';
import { newObjectId } from './random-ids.ts';

export interface NewMachineKey extends MachineUserReference {
  /** RFC 3339. Default: never, which ZITADEL writes as the end of the year 9999. */
  readonly expiresAt: string | undefined;
  /** PEM. Default: an RSA key pair is made. */
  readonly publicKey: string | undefined;
}

export interface AddedMachineKey {
  readonly keyId: string;
  /** ZITADEL's key file, in JSON, with the private key: shown here and never again. Absent for a caller's own public key. */
  readonly keyFile: string | undefined;
  readonly details: ChangeDetails;
}

const never = '9999-12-31T23:59:59.000Z';
/** In bits, of an RSA modulus: what is made, and the bounds of what is taken. Larger ones only cost time. */
const rsaBits = { made: 2048, least: 2048, most: 8192 };
/** Which practically every key has. To verify takes time with its length. */
const largestRsaExponent = 65_537n;
const ecCurves = ['prime256v1', 'secp384r1', 'secp521r1'];
/** In characters. */
const longestPem = 16_384;

/** The use cases of machine keys, with which machine users sign assertions instead of sending a secret (RFC 7523). */
export class MachineKeys {
  readonly #commands: CommandHandler;

  constructor(commands: CommandHandler) {
    this.#commands = commands;
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `MACHINE_KEY_INVALID`, `MACHINE_KEY_EXPIRED` */
  async add(
    { userId, organizationId, expiresAt = never, publicKey }: NewMachineKey,
    context: CommandContext,
  ): Promise<AddedMachineKey> {
    const keyId = newObjectId();
    const pair = publicKey === undefined ? await makeKeyPair() : { publicKey: readPublicKey(publicKey) };
    const outcome = await this.#commands.execute(
      machineUser,
      userId,
      { type: 'AddKey', organizationId, keyId, publicKey: pair.publicKey, expiresAt },
      context,
    );
    return {
      keyId,
      keyFile: 'privateKey' in pair ? keyFileOf(keyId, pair.privateKey, userId, expiresAt) : undefined,
      details: {
        sequence: outcome.streamVersion,
        creationDate: outcome.occurredAt,
        changeDate: outcome.occurredAt,
        resourceOwner: organizationId,
      },
    };
  }

  /** @throws KeyturnError `USER_NOT_FOUND`, `MACHINE_KEY_NOT_FOUND` */
  async remove(
    { userId, organizationId }: MachineUserReference,
    keyId: string,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const { state, streamVersion, occurredAt } = await this.#commands.execute(
      machineUser,
      userId,
      { type: 'RemoveKey', organizationId, keyId },
      context,
    );
    if (!exists(state)) throw new KeyturnError('USER_NOT_FOUND');
    return {
      sequence: streamVersion,
      creationDate: state.addedAt,
      changeDate: occurredAt,
      resourceOwner: organizationId,
    };
  }
}

async function makeKeyPair(): Promise<{ publicKey: string; privateKey: string }> {
  return promisify(generateKeyPair)('rsa', {
    modulusLength: rsaBits.made,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
}

/** The form that ZITADEL's clients read. */
function keyFileOf(keyId: string, key: string, userId: string, expirationDate: string): string {
  return JSON.stringify({ type: 'serviceaccount', keyId, key, expirationDate, userId });
}

/**
 * @returns the key as PEM with SubjectPublicKeyInfo, whichever PEM it came in
 * @throws KeyturnError `MACHINE_KEY_INVALID`
 */
function readPublicKey(pem: string): string {
  if (pem.length > longestPem) throw invalidKey('it is too long');
  // Node would take the public half of a private key, which has no business here.
  if (/PRIVATE KEY/.test(pem)) throw invalidKey('it is a private key: replace it, and send its public half');
  let key: KeyObject;
  try {
    key = createPublicKey({ key: pem, format: 'pem' });
  } catch (error) {
    throw invalidKey('it is not a public key in PEM', error);
  }
  const fault = faultOf(key);
  if (fault !== undefined) throw invalidKey(fault);
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

function faultOf({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): string | undefined {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = asymmetricKeyDetails;
  switch (asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < rsaBits.least || modulusLength > rsaBits.most) {
        return `an RSA key must have ${rsaBits.least} to ${rsaBits.most} bits`;
      }
      return publicExponent <= largestRsaExponent
        ? undefined
        : `an RSA key must have a public exponent of at most ${largestRsaExponent}`;
    case 'ec':
      return ecCurves.includes(namedCurve) ? undefined : 'an EC key must be on P-256, P-384 or P-521';
    case 'ed25519':
      return undefined;
    default:
      return 'it must be an RSA, EC or Ed25519 key';
  }
}

function invalidKey(reason: string, cause?: unknown): KeyturnError {
  return new KeyturnError('MACHINE_KEY_INVALID', { text: `The public key is invalid: ${reason}`, cause });
}
