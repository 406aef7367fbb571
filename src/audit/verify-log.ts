import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { UnreadableEventError } from '../eventstore/errors.ts';
import type { EventStore } from '../eventstore/event-store.ts';
import { headOf } from '../eventstore/head.ts';
import { CheckpointFile } from './checkpoints/checkpoint-file.ts';
import { verifierOfLog } from './checkpoints/log-verifier.ts';
import type { NoteVerifier } from './checkpoints/signed-note.ts';
import {
  type CheckpointVerification,
  type GivenCheckpoint,
  type RootAt,
  rootOfLog,
  verifyCheckpoint,
} from './checkpoints/verify-checkpoints.ts';
import type { LogFault } from './log-fault.ts';
import { LogTree } from './log-tree.ts';
import { type RangeVerification, verifyRange } from './verify-range.ts';

/** A log, and what lies beside it. */
export interface AuditedLog {
  readonly eventStore: EventStore;
  /** Where the log is a SQLite file: threads of their own can then read it. */
  readonly file?: string | undefined;
  /** The folder of the log tree, which need not exist. */
  readonly treeFolder?: string | undefined;
}

export interface VerifyLogOptions {
  /** How many threads share the work on a log that is long enough. Default: 2. */
  readonly threads?: number;
  /** Checkpoints that someone kept. */
  readonly checkpoints?: readonly GivenCheckpoint[];
  /** What checkpoints are verified with. Default: the key that the log itself names. */
  readonly verifier?: NoteVerifier | undefined;
  /** Told how many events were checked of how many. */
  readonly onProgress?: (checked: number, total: number) => void;
}

export interface LogVerification {
  readonly events: number;
  /** The first event that does not fit, in log order. */
  readonly fault?: LogFault | undefined;
  /** The log tree is not the one that was signed last, as far as one can know. It then says nothing about the log. */
  readonly treeFault?: string | undefined;
  /** The one beside the log tree, then the ones that were given. */
  readonly checkpoints: readonly CheckpointVerification[];
}

export function isIntact({ fault, treeFault, checkpoints }: LogVerification): boolean {
  return (
    fault === undefined &&
    treeFault === undefined &&
    checkpoints.every((checkpoint) => checkpoint.fault === undefined)
  );
}

/** What a thread of its own is given. */
export interface VerifyWorkerData {
  readonly file: string;
  readonly treeFolder: string | undefined;
  readonly after: bigint;
  readonly until: bigint;
}

export type VerifyWorkerMessage = { readonly progress: number } | { readonly verified: RangeVerification };

/** Of a thread. What it parses is soon garbage: with more, 32 MB times three by default, it collects no less, only later. */
const maxYoungGenerationSizeMb = 12;
/** In positions. Starting threads does not pay below. */
const shortLog = 20_000n;

/**
 * Checks the whole log: every event against the hash chain of its stream and against the log tree where there is one,
 * and the tree against signed checkpoints. The log may grow meanwhile; what comes later is not part of the answer.
 */
export async function verifyLog(log: AuditedLog, options: VerifyLogOptions = {}): Promise<LogVerification> {
  const { eventStore, treeFolder } = log;
  // Before the head is read: an event is in the log before it is in the tree.
  const tree = treeFolder === undefined ? undefined : LogTree.openReadOnly(treeFolder);
  try {
    const verifier = options.verifier ?? (await readableVerifier(eventStore));
    const signed = treeFolder === undefined ? undefined : new CheckpointFile(treeFolder).read();
    const own = signed === undefined ? [] : [{ source: 'the last checkpoint', text: signed }];
    const rootByTree: RootAt = async (size) =>
      tree !== undefined && tree.size >= size ? tree.recomputeRoot(size) : rootOfLog(eventStore, size);
    const rootByLog: RootAt = (size) => rootOfLog(eventStore, size);
    const verifyAll = (checkpoints: readonly GivenCheckpoint[], rootAt: RootAt) =>
      Promise.all(checkpoints.map((checkpoint) => verifyCheckpoint(checkpoint, verifier, rootAt)));

    const [verified, ownByTree] = await Promise.all([
      verifyEvents(log, tree, options),
      tree === undefined ? verifyAll(own, rootByLog) : verifyAll(own, rootByTree),
    ]);
    const given = options.checkpoints ?? [];
    if (tree === undefined || ownByTree.every(({ fault }) => fault === undefined)) {
      // The log is what the tree says, or differs where the fault is.
      const rootAt = tree === undefined || verified.fault !== undefined ? rootByLog : rootByTree;
      return { ...verified, checkpoints: [...ownByTree, ...(await verifyAll(given, rootAt))] };
    }
    // A tree that nobody signed accuses no event.
    const withoutTree = await verifyEvents(log, undefined, options);
    const checkpoints = await verifyAll([...own, ...given], rootByLog);
    const treeFault =
      verifier === undefined
        ? 'the log tree cannot be compared with what was signed last'
        : 'the log tree is not the one that was signed last';
    return { ...withoutTree, treeFault, checkpoints };
  } finally {
    tree?.close();
  }
}

/** An event that cannot be read names no key. That it cannot is told with the events. */
async function readableVerifier(eventStore: EventStore): Promise<NoteVerifier | undefined> {
  try {
    return await verifierOfLog(eventStore);
  } catch (error) {
    if (error instanceof UnreadableEventError) return undefined;
    throw error;
  }
}

async function verifyEvents(
  { eventStore, file, treeFolder }: AuditedLog,
  tree: LogTree | undefined,
  { threads = 2, onProgress }: VerifyLogOptions,
): Promise<RangeVerification> {
  const head = await headOf(eventStore);
  const covered = tree?.lastLeaf()?.position ?? 0n;
  const until = head > covered ? head : covered;
  let checked = 0;
  const progress = (events: number) => {
    checked += events;
    onProgress?.(checked, Number(head));
  };
  const ranges =
    file === undefined || until < shortLog || threads < 2
      ? [verifyRange(eventStore, { until, tree, onProgress: progress })]
      : partsOf(until, BigInt(threads)).map((part) =>
          verifyInThread({ ...part, file, treeFolder: tree && treeFolder }, progress),
        );
  const parts = await Promise.all(ranges);
  // The parts are in log order, and so are the faults.
  const fault = parts.find((part) => part.fault !== undefined)?.fault;
  return { events: parts.reduce((sum, part) => sum + part.events, 0), fault };
}

/** Consecutive parts: the events of one stream mostly stay together, so that each is read once. */
function partsOf(until: bigint, count: bigint): { after: bigint; until: bigint }[] {
  return Array.from({ length: Number(count) }, (_, index) => ({
    after: (until * BigInt(index)) / count,
    until: (until * BigInt(index + 1)) / count,
  }));
}

function verifyInThread(
  workerData: VerifyWorkerData,
  onProgress: (events: number) => void,
): Promise<RangeVerification> {
  const { promise, resolve, reject } = Promise.withResolvers<RangeVerification>();
  const script = new URL(`./verify-worker${extname(import.meta.filename)}`, import.meta.url);
  const worker = new Worker(script, { workerData, resourceLimits: { maxYoungGenerationSizeMb } });
  worker.on('message', (message: VerifyWorkerMessage) => {
    if ('progress' in message) onProgress(message.progress);
    else resolve(message.verified);
  });
  worker.on('error', reject);
  worker.on('exit', (code) => reject(new Error(`a thread that verifies the log ended with ${code}`)));
  return promise;
}
