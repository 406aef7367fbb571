import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { checkpointKey, instanceId } from '../domain/aggregates.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { MasterKeys } from './master-keys.ts';
import { newObjectId } from './random-ids.ts';

/** The key that this instance signs checkpoints of its log with, opened. */
export interface OpenCheckpointKey {
  /** The log's name: origin of its checkpoints. */
  readonly name: string;
  readonly privateKey: KeyObject;
}

/** Ed25519 private key in PKCS #8 (RFC 8410 section 7), without the 32 bytes of the seed that follow. */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Opens the instance's checkpoint key; makes one when there is none.
 *
 * @param name of a new key
 * @throws WrongMasterKeyError the master key does not open it
 */
export async function openCheckpointKey(
  commands: CommandHandler,
  masterKeys: MasterKeys,
  name: string,
): Promise<OpenCheckpointKey> {
  const correlationId = newObjectId();
  const context: CommandContext = { editor: null, correlationId, causationId: correlationId };
  let { state } = await commands.load(checkpointKey, instanceId);
  if (state.status === 'absent') {
    const seed = randomBytes(32);
    const add = {
      type: 'AddCheckpointKey',
      name,
      publicKey: publicKeyOf(privateKeyOf(seed)).toString('base64'),
      encryptedSeed: await masterKeys.encrypt(seed),
    } as const;
    ({ state } = await commands.execute(checkpointKey, instanceId, add, context));
  }
  if (state.status === 'absent') throw new Error('a checkpoint key that was just added is absent');
  const { plaintext: seed, isOutdated } = await masterKeys.decrypt(state.encryptedSeed);
  if (isOutdated) {
    const reencrypt = {
      type: 'ReencryptCheckpointKey',
      encryptedSeed: await masterKeys.encrypt(seed),
    } as const;
    await commands.execute(checkpointKey, instanceId, reencrypt, context);
  }
  return { name: state.name, privateKey: privateKeyOf(seed) };
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' });
}

/** 32 bytes (RFC 8032) */
function publicKeyOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
}
