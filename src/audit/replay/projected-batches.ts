import { on, once } from 'node:events';
import { extname } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { KeyturnEvent } from '../../domain/event-catalogue.ts';
import type { EventStore } from '../../eventstore/event-store.ts';
import { headOf } from '../../eventstore/head.ts';
import type { SqlitePersonalKeysOptions } from '../../eventstore/sqlite/sqlite-personal-keys.ts';
import type { Projected } from '../../projections/projection.ts';
import { type Checkpoint, checkpointAt, projectedEvents } from '../../projections/read-model.ts';
import { type LogRange, logBatches } from '../log-batches.ts';
import { type EventLines, eventLines, fromLines, linesOfRecorded } from './event-lines.ts';

/** In positions. Starting threads does not pay below. */
export const shortLog = 20_000n;

export interface ReplayedLog {
  /** With its personal fields opened. */
  readonly eventStore: EventStore;
  /** Where the log is a SQLite file: a thread of its own can then read it. */
  readonly file?: string | undefined;
  /** What that thread opens personal fields with. */
  readonly personalKeys?: SqlitePersonalKeysOptions | undefined;
}

/** Events of the log as projections see them, and where the last event that was read stands. */
export interface ProjectedBatch {
  readonly events: readonly Projected<KeyturnEvent>[];
  readonly checkpoint: Checkpoint;
}

export interface ProjectedRange extends LogRange {
  readonly types: ReadonlySet<string>;
}

/** Reads, checks and takes in events in this thread. */
export async function* projectedBatches(
  eventStore: EventStore,
  { types, ...range }: ProjectedRange,
): AsyncGenerator<ProjectedBatch> {
  for await (const events of logBatches(eventStore, range)) {
    const last = events.at(-1);
    if (last !== undefined) yield { events: projectedEvents(events, types), checkpoint: checkpointAt(last) };
  }
}

/** Where batches come from that are read while others are taken in. */
export interface BatchSource {
  /** For {@link receivedBatches}, in any thread. Not the source's any more. */
  readonly port: MessagePort;
  /** Resolves when it ends, and tells whether all was sent. Rejects with what ended it before. */
  readonly finished: Promise<boolean>;
}

/** What the thread that reads is given. */
export interface ReplayReaderData {
  readonly file: string;
  readonly personalKeys: SqlitePersonalKeysOptions | undefined;
  readonly types: ReadonlySet<string>;
  readonly after: bigint;
  readonly until: bigint | undefined;
  readonly port: MessagePort;
}

/**
 * In MB, of what lives shortly. More than these three times the default of 32 MB per thread collect no less, only later.
 */
export const youngMegabytes = { reader: 12, writer: 24 } as const;

/**
 * Reads a part of the log: a file by a thread of its own, another store in this one, which waits for the store most of the time.
 */
export function openSource(log: ReplayedLog, range: ProjectedRange): BatchSource {
  const { port1: port, port2: sending } = new MessageChannel();
  const { file } = log;
  const [finished, stop] =
    file === undefined
      ? [sendBatches(sending, linesFromStore(log.eventStore, range)), () => sending.close()]
      : readByThread({ file, personalKeys: log.personalKeys, port: sending }, range);
  const { signal } = range;
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  return { port, finished: finished.finally(() => signal?.removeEventListener('abort', stop)) };
}

function linesFromStore(
  eventStore: EventStore,
  { types, ...range }: ProjectedRange,
): AsyncGenerator<EventLines> {
  return eventLines(logBatches(eventStore, range), types, linesOfRecorded);
}

function readByThread(
  log: Pick<ReplayReaderData, 'file' | 'personalKeys' | 'port'>,
  { types, after = 0n, until }: ProjectedRange,
): [finished: Promise<boolean>, stop: () => void] {
  const script = new URL(`./replay-reader${extname(import.meta.filename)}`, import.meta.url);
  const workerData: ReplayReaderData = { ...log, types, after, until };
  const resourceLimits = { maxYoungGenerationSizeMb: youngMegabytes.reader };
  const reader = new Worker(script, { workerData, transferList: [log.port], resourceLimits });
  return [once(reader, 'exit').then(([code]) => code === 0), () => void reader.terminate()];
}

/** The events of a part of the log: those of a long one are read by {@link openSource}. They end where the signal tells it. */
export async function* batchesOf(log: ReplayedLog, range: ProjectedRange): AsyncGenerator<ProjectedBatch> {
  const { after = 0n, until = await headOf(log.eventStore) } = range;
  if (log.file === undefined || until - after < shortLog) {
    yield* projectedBatches(log.eventStore, range);
    return;
  }
  const { port, finished } = openSource(log, range);
  // It is awaited when the batches have ended.
  finished.catch(() => {});
  try {
    yield* receivedBatches(port);
  } finally {
    await finished;
  }
}

/** How many batches are asked for at a time. Twice as many may be on their way: both sides are busy, and memory is flat. */
const batchesAsked = 8;
const end = 'end';

/**
 * Sends as many batches as the other side asks for, until one of them closes the port.
 *
 * @returns whether all were sent
 */
export async function sendBatches(port: MessagePort, batches: AsyncGenerator<EventLines>): Promise<boolean> {
  try {
    for await (const [asked] of on(port, 'message', { close: ['close'] }) as AsyncIterable<[number]>) {
      for (let sent = 0; sent < asked; sent++) {
        const { done, value } = await batches.next();
        port.postMessage(done ? end : value);
        if (done) return true;
      }
    }
    return false;
  } finally {
    port.close();
    await batches.return(undefined);
  }
}

/**
 * The batches of a source. They end with what was sent when the source is stopped, or fails.
 *
 * @param onEnd told when all was received
 */
export async function* receivedBatches(
  port: MessagePort,
  onEnd: () => void = () => {},
): AsyncGenerator<ProjectedBatch> {
  try {
    const messages = on(port, 'message', { close: ['close'] }) as AsyncIterable<[EventLines | typeof end]>;
    port.postMessage(2 * batchesAsked);
    let received = 0;
    for await (const [message] of messages) {
      if (message === end) return onEnd();
      if (++received % batchesAsked === 0) port.postMessage(batchesAsked);
      yield { events: fromLines(message.lines), checkpoint: message.checkpoint };
    }
  } finally {
    port.close();
  }
}
