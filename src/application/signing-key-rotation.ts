import { instance, instanceId } from '../domain/aggregates.ts';
import { type SigningAlgorithm, signingKeyLead } from '../domain/instance/signing-keys.ts';
import type { CommandContext, CommandHandler } from './command-handler.ts';
import type { MasterKeys } from './master-keys.ts';
import { newObjectId } from './random-ids.ts';
import type { SigningKeyRing } from './signing-key-ring.ts';
import { generateSigningKey } from './signing-keys.ts';

export interface SigningKeyRotationOptions {
  readonly commands: CommandHandler;
  readonly keyRing: SigningKeyRing;
  readonly masterKeys: MasterKeys;
  /** Of keys made from now on. A newest key of another algorithm is due. */
  readonly algorithm: SigningAlgorithm;
  /** In days: how long a key signs. */
  readonly interval: number;
}

const day = 24 * 60 * 60 * 1000;

/** Makes new signing keys, on a schedule and when asked, and keeps the old ones readable when the master key changes. */
export class SigningKeyRotation {
  readonly #options: SigningKeyRotationOptions;

  constructor(options: SigningKeyRotationOptions) {
    this.#options = options;
  }

  /** Does what is due. Every node may do it at any time: of several at once, one adds a key. */
  async keepUp(): Promise<void> {
    const { commands, keyRing, algorithm, interval } = this.#options;
    const [newest] = keyRing.published();
    if (newest === undefined) return;
    const age = commands.now().getTime() - Date.parse(newest.signsFrom);
    if (age < interval * day && newest.algorithm === algorithm) return;
    await this.#add(newest.keyId, {}, ownContext());
  }

  /**
   * Adds a key, which signs when verifiers had the time to fetch it.
   *
   * @param options.revokesOthers It signs at once, and what the others signed is void.
   * @returns the id of the new key
   */
  async rotate({ revokesOthers = false }, context: CommandContext): Promise<string> {
    const { commands } = this.#options;
    for (;;) {
      const { state } = await commands.load(instance, instanceId);
      const newest = state.status === 'absent' ? undefined : state.signingKeys.at(-1)?.keyId;
      const keyId = await this.#add(newest, { revokesOthers }, context);
      if (keyId !== undefined) return keyId;
    }
  }

  /** Puts the keys that are still under the previous master key under the current one. */
  async reencrypt(): Promise<void> {
    const { commands, keyRing, masterKeys } = this.#options;
    for (const { keyId, encryptedPrivateKey: outdated } of keyRing.published()) {
      const { plaintext, isOutdated } = await masterKeys.decrypt(outdated);
      if (!isOutdated) continue;
      const encryptedPrivateKey = await masterKeys.encrypt(plaintext);
      const reencrypt = { type: 'ReencryptSigningKey', keyId, encryptedPrivateKey } as const;
      await commands.execute(instance, instanceId, reencrypt, ownContext());
    }
  }

  /** Undefined when another node was faster: there is a newer key than `after`. */
  async #add(
    after: string | undefined,
    { revokesOthers = false },
    context: CommandContext,
  ): Promise<string | undefined> {
    const { commands, masterKeys, algorithm } = this.#options;
    const key = await generateSigningKey(algorithm, masterKeys);
    const signsFrom = new Date(commands.now().getTime() + signingKeyLead * 1000).toISOString();
    const { state } = await commands.execute(
      instance,
      instanceId,
      { type: 'AddSigningKey', after, revokesOthers, ...key, ...(!revokesOthers && { signsFrom }) },
      context,
    );
    const isAdded = state.status !== 'absent' && state.signingKeys.some(({ keyId }) => keyId === key.keyId);
    return isAdded ? key.keyId : undefined;
  }
}

function ownContext(): CommandContext {
  const correlationId = newObjectId();
  return { editor: null, correlationId, causationId: correlationId };
}
