import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** The last checkpoint that was signed, beside the tree that it is of. */
export class CheckpointFile {
  readonly #file: string;

  constructor(treeFolder: string) {
    this.#file = join(treeFolder, 'checkpoint');
  }

  /** Undefined before the first one. */
  read(): string | undefined {
    return existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : undefined;
  }

  /** Whole or not at all, and on the disk when this returns. */
  async write(checkpoint: string): Promise<void> {
    await writeFileAtomic(this.#file, checkpoint, { mode: 0o600, fsync: true });
  }
}
