import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** The folder that holds all of an instance on one machine. Only its owner may look into it. */
export class DataDirectory {
  readonly eventsFile: string;
  readonly personalKeysFile: string;
  readonly readModelFile: string;
  readonly adminCredentialsFile: string;
  readonly logTreeFolder: string;
  readonly #masterKeyFile: string;

  /** Makes the folder, with mode 0700, when it does not exist, unless told not to. */
  constructor(path: string, { create = true }: { readonly create?: boolean } = {}) {
    if (create) mkdirSync(path, { recursive: true, mode: 0o700 });
    this.eventsFile = join(path, 'events.db');
    this.personalKeysFile = join(path, 'personal-keys.db');
    this.readModelFile = join(path, 'read-model.db');
    this.adminCredentialsFile = join(path, 'admin-credentials.json');
    this.logTreeFolder = join(path, 'log-tree');
    this.#masterKeyFile = join(path, 'master.key');
  }

  /** The master key in this folder, made when there is none. 32 bytes. Throws when the file does not hold such a key. */
  async masterKey(): Promise<Uint8Array> {
    if (!this.hasMasterKey) {
      await writeSecretFile(this.#masterKeyFile, `${randomBytes(32).toString('base64')}\n`);
    }
    const key = parseMasterKey(readFileSync(this.#masterKeyFile, 'utf8').trim());
    if (key === undefined) throw new Error(`${this.#masterKeyFile} does not hold 32 bytes in base64`);
    return key;
  }

  get hasMasterKey(): boolean {
    return existsSync(this.#masterKeyFile);
  }

  saveAdminCredentials(credentials: object): Promise<void> {
    return writeSecretFile(this.adminCredentialsFile, `${JSON.stringify(credentials, null, 2)}\n`);
  }

  /** For credentials that are worth nothing. */
  discardAdminCredentials(): void {
    rmSync(this.adminCredentialsFile, { force: true });
  }
}

/** 32 bytes from base64, or undefined when `text` is anything else. */
export function parseMasterKey(text: string): Uint8Array | undefined {
  const key = Buffer.from(text, 'base64');
  return key.length === 32 && key.toString('base64') === text ? new Uint8Array(key) : undefined;
}

/** Whole or not at all, on the disk before this returns, and readable by its owner only. */
async function writeSecretFile(file: string, content: string): Promise<void> {
  await writeFileAtomic(file, content, { mode: 0o600, fsync: true });
}
