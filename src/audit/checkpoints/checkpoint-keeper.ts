import { createPublicKey, type KeyObject } from 'node:crypto';
import type { EventStore } from '../../eventstore/event-store.ts';
import { hashOfEvent } from '../../eventstore/hash-chain.ts';
import { logBatches } from '../log-batches.ts';
import { LogTree } from '../log-tree.ts';
import { openCheckpoint, signCheckpoint, type TreeHead } from './checkpoint.ts';
import { CheckpointFile } from './checkpoint-file.ts';
import type { NoteVerifier } from './signed-note.ts';

export interface CheckpointKeeperOptions {
  readonly eventStore: EventStore;
  /** Where the log tree and the last checkpoint are. Made when there is none. */
  readonly treeFolder: string;
  readonly key: { readonly name: string; readonly privateKey: KeyObject };
}

/** The log is not one that only grew since the last checkpoint: signing another would contradict it. */
export class LogRewrittenError extends Error {
  override readonly name = 'LogRewrittenError';
}

/** Lets the log tree follow the log, and signs its head. A checkpoint costs what was added since the last one. */
export class CheckpointKeeper {
  readonly verifier: NoteVerifier;
  readonly #options: CheckpointKeeperOptions;
  readonly #file: CheckpointFile;
  #tree: LogTree;
  #signed: TreeHead | undefined;
  #current: string | undefined;
  #advancing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: CheckpointKeeperOptions) {
    const { treeFolder, key } = options;
    const publicKey = createPublicKey(key.privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
    this.verifier = { name: key.name, publicKey };
    this.#options = options;
    this.#tree = LogTree.open(treeFolder);
    this.#file = new CheckpointFile(treeFolder);
    this.#current = this.#file.read();
    if (this.#current !== undefined) this.#signed = openCheckpoint(this.#current, this.verifier);
    // Leaves past the last checkpoint were not waited for: a power cut may have left anything there. The log has them.
    this.#tree.truncate(this.#signed?.size ?? 0);
    if (!this.#isConsistent()) this.#rebuildTree();
  }

  /** The last checkpoint; undefined before the first one. */
  current(): string | undefined {
    return this.#current;
  }

  /**
   * Signs a checkpoint now and then at `interval`, in milliseconds, when the log has grown.
   *
   * @param onFailure told of each checkpoint that could not be signed; the next one is tried all the same
   */
  start(interval: number, onFailure: (error: unknown) => void): void {
    const tick = async () => {
      await this.advance().catch(onFailure);
      if (this.#timer !== undefined) this.#timer = setTimeout(tick, interval).unref();
    };
    this.#timer = setTimeout(tick, 0).unref();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#advancing?.catch(() => {});
    if (!this.#isStopped) this.#tree.close();
    this.#isStopped = true;
  }

  /**
   * Brings the tree up to the log, and signs its head unless that is signed.
   *
   * @throws LogRewrittenError
   */
  advance(): Promise<void> {
    this.#advancing ??= this.#advance().finally(() => {
      this.#advancing = undefined;
    });
    return this.#advancing;
  }

  async #advance(): Promise<void> {
    await this.#requireContinuation();
    const after = this.#tree.lastLeaf()?.position ?? 0n;
    for await (const events of logBatches(this.#options.eventStore, { after })) {
      this.#tree.append(events);
      // Requests go first.
      await new Promise(setImmediate);
    }
    const size = this.#tree.size;
    if (size === 0 || size === this.#signed?.size) return;
    if (!this.#isConsistent()) {
      throw new LogRewrittenError('the log does not hold what its last checkpoint covers');
    }
    this.#tree.sync();
    const head = { size, root: this.#tree.root() };
    const checkpoint = signCheckpoint(head, this.verifier, this.#options.key.privateKey);
    await this.#file.write(checkpoint);
    this.#signed = head;
    this.#current = checkpoint;
  }

  /** The tree that was signed is the begin of the one that is here. */
  #isConsistent(): boolean {
    const signed = this.#signed;
    if (signed === undefined) return true;
    return this.#tree.size >= signed.size && this.#tree.root(signed.size).equals(signed.root);
  }

  /** Throws unless the log still holds the event of the last leaf: it may be cut off, or another one. */
  async #requireContinuation(): Promise<void> {
    const last = this.#tree.lastLeaf();
    if (last === undefined) return;
    const events = this.#options.eventStore.readAll({ after: last.position - 1n, limit: 1 });
    for await (const event of events) {
      if (event.position === last.position && hashOfEvent(event) === last.eventHash) return;
    }
    throw new LogRewrittenError(`the log no longer holds the event at position ${last.position} as it was`);
  }

  /** Its files are damaged, or behind: they can be made from the log. */
  #rebuildTree(): void {
    const { treeFolder } = this.#options;
    this.#tree.close();
    LogTree.remove(treeFolder);
    this.#tree = LogTree.open(treeFolder);
  }
}
