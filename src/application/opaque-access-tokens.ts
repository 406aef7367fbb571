import type { JWTPayload } from 'jose';
import type { MasterKeys } from './master-keys.ts';
import { SealedTexts } from './sealed-texts.ts';

/** Tells people and secret scanners what was found. */
const prefix = 'kta_';
const form = /^kta_([A-Za-z0-9_-]{68,})$/;

/**
 * Access tokens that only Keyturn can read: `kta_` and their claims, sealed under a key that is derived from the master
 * key. So none can be guessed, and a wrong one is told from a right one without a database.
 */
export class OpaqueAccessTokens {
  readonly #sealed: SealedTexts;

  constructor(masterKeys: MasterKeys) {
    this.#sealed = new SealedTexts(masterKeys.derive('opaque access tokens'));
  }

  write(payload: JWTPayload): string {
    return prefix + this.#sealed.seal(JSON.stringify(payload));
  }

  /** The payload, or undefined when the token was not written with one of the keys, or was changed. */
  read(token: string): unknown {
    const text = this.#sealed.open(form.exec(token)?.[1] ?? '');
    return text === undefined ? undefined : JSON.parse(text);
  }
}
