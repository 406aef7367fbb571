import { randomUUID } from 'node:crypto';
import AsyncLock from 'async-lock';
import { LRUCache } from 'lru-cache';
import pRetry from 'p-retry';
import { type Aggregate, streamOf } from '../domain/aggregates.ts';
import type { DomainEvent, Occurred } from '../domain/decider.ts';
import { fold } from '../domain/decider.ts';
import { KeyturnError } from '../domain/errors.ts';
import { eventCatalogue, readStoredEvent } from '../domain/event-catalogue.ts';
import type { Editor, EventMetadata, Origin } from '../domain/event-metadata.ts';
import { checkNewEvent } from '../domain/event-schema.ts';
import { WrongExpectedRevisionError } from '../eventstore/errors.ts';
import type { EventStore, JsonObject, NewEvent, RecordedEvent } from '../eventstore/event-store.ts';
import { hashOfEvent } from '../eventstore/hash-chain.ts';
import { hasPersonalFields, isSealed, PersonalFields } from './personal-fields.ts';

export type Clock = () => Date;

/** Who and what causes the events of a command. */
export interface CommandContext {
  readonly editor: Editor;
  /** Where the request came from; absent when none causes the command. */
  readonly origin?: Origin;
  /** The same for all that one request causes. */
  readonly correlationId: string;
  /** The message that directly caused the command: a request's id, or an event's. */
  readonly causationId: string;
  /** Ends the command as long as it is not stored. */
  readonly signal?: AbortSignal;
}

export interface Loaded<State> {
  readonly state: State;
  /** Revision of the stream's last event. */
  readonly revision: bigint | 'no_stream';
  /** Of the stream's last event. */
  readonly hash: string | null;
}

export interface CommandOutcome<State> {
  /** After the command. */
  readonly state: State;
  /** How many events the stream holds: `details.sequence` in the API. */
  readonly streamVersion: bigint;
  /** When the command was decided. */
  readonly occurredAt: string;
}

export interface CommandHandlerOptions {
  readonly eventStore: EventStore;
  readonly clock: Clock;
  /** Resolves once this process's read model shows everything up to `position`: callers read their own writes. */
  readonly waitForReadModel: (position: bigint) => Promise<void>;
  /** Default: personal fields are stored as they are. */
  readonly personalFields?: PersonalFields;
}

/** How many streams are kept, so that a long one is not read from its begin for each command. */
const recentStreams = 10_000;
/** How often a command is decided again after another writer was faster, before it is given up as contended. */
const conflictRetries = 30;

/** Runs commands against aggregates: load, decide, append at the revision that was read, again on a conflict. */
export class CommandHandler {
  readonly #eventStore: EventStore;
  readonly #clock: Clock;
  readonly #waitForReadModel: (position: bigint) => Promise<void>;
  readonly #personalFields: PersonalFields;
  /**
   * Commands on one stream take turns within this process, so that they do not conflict with each other.
   * Other processes are kept apart by the expected revision alone.
   */
  readonly #turns = new AsyncLock({ maxPending: Number.POSITIVE_INFINITY });
  /**
   * What streams used lately came to. Another process may have written since: a load reads on from there, and a command that is
   * decided on it is stored only if that is still the end of the stream.
   */
  readonly #recent = new LRUCache<string, Loaded<unknown>>({
    maxSize: recentStreams,
    sizeCalculation: () => 1,
  });

  constructor({
    eventStore,
    clock,
    waitForReadModel,
    personalFields = new PersonalFields(),
  }: CommandHandlerOptions) {
    this.#eventStore = eventStore;
    this.#personalFields = personalFields;
    this.#clock = clock;
    this.#waitForReadModel = waitForReadModel;
  }

  now(): Date {
    return this.#clock();
  }

  async load<Command, Event extends DomainEvent, State>(
    aggregate: Aggregate<Command, Event, State>,
    id: string,
  ): Promise<Loaded<State>> {
    const { decider } = aggregate;
    const stream = streamOf(aggregate, id);
    const remembered: Loaded<State> = (this.#recent.get(stream) as Loaded<State> | undefined) ?? {
      state: decider.initialState,
      revision: 'no_stream',
      hash: null,
    };
    if (this.#eventStore.endsBefore?.(stream, nextRevision(remembered.revision))) return remembered;
    let { state, revision, hash } = remembered;
    let last: RecordedEvent | undefined;
    const unread =
      revision === 'no_stream' && aggregate.snapshots !== undefined
        ? await this.#readFromSnapshot(stream, aggregate.snapshots)
        : this.#eventStore.readStream(stream, { from: nextRevision(revision) });
    for await (const recorded of unread) {
      const opened = isSealed(recorded) ? await this.#personalFields.open(recorded) : recorded;
      state = decider.evolve(state, readStoredEvent(opened) as DomainEvent as Occurred<Event>);
      last = recorded;
    }
    if (last !== undefined) [revision, hash] = [last.revision, hashOfEvent(last)];
    const loaded = { state, revision, hash };
    if (revision !== 'no_stream') this.#recent.set(stream, loaded);
    return loaded;
  }

  /** The stream's events from the last snapshot on. */
  async #readFromSnapshot(stream: string, snapshots: readonly string[]): Promise<RecordedEvent[]> {
    const events: RecordedEvent[] = [];
    for await (const recorded of this.#eventStore.readStream(stream, { direction: 'backwards' })) {
      events.push(recorded);
      if (snapshots.includes(recorded.type)) break;
    }
    return events.reverse();
  }

  /**
   * Decides `command` and stores its events durably; returns once the read model shows them.
   *
   * @param expectedRevision Where given, the command is decided at that revision only and not again.
   * @throws KeyturnError the rule that forbids the command, or `CONTENDED`
   * @throws WrongExpectedRevisionError the stream is not at `expectedRevision`
   */
  async execute<Command, Event extends DomainEvent, State>(
    aggregate: Aggregate<Command, Event, State>,
    id: string,
    command: Command,
    context: CommandContext,
    expectedRevision?: bigint | 'no_stream',
  ): Promise<CommandOutcome<State>> {
    const stream = streamOf(aggregate, id);
    const eventIds = new EventIds();
    const decide = (loaded: Loaded<State>): Decision<Event, State> => {
      context.signal?.throwIfAborted();
      if (expectedRevision !== undefined && loaded.revision !== expectedRevision) {
        throw new WrongExpectedRevisionError(stream, expectedRevision, loaded.revision);
      }
      const occurredAt = this.#clock().toISOString();
      const decided = aggregate.decider.decide(command, loaded.state, occurredAt);
      const happened = decided.map((event) => ({ ...event, occurredAt }));
      return { loaded, happened, occurredAt };
    };
    const store = async ({ loaded, happened, occurredAt }: Decision<Event, State>) => {
      const state = fold(aggregate.decider, happened, loaded.state);
      const streamVersion = nextRevision(loaded.revision) + BigInt(happened.length);
      const outcome = { state, streamVersion, occurredAt };
      if (happened.length === 0) return { outcome, position: undefined };
      const described = happened.map((event, index) => describe(event, eventIds.at(index), context));
      const sealed = described.some(hasPersonalFields)
        ? await Promise.all(described.map((event) => this.#sealed(stream, event)))
        : described;
      const { events, lastHash } = chained(stream, sealed, loaded);
      const { position, revision } = await this.#eventStore.append(stream, events, loaded.revision);
      this.#recent.set(stream, { state, revision, hash: lastHash });
      return { outcome, position };
    };
    const attempt = async () => store(decide(await this.load(aggregate, id)));
    const run = async () => {
      const remembered = this.#recent.get(stream) as Loaded<State> | undefined;
      const decision = remembered && decidedEvents(() => decide(remembered));
      if (decision !== undefined) {
        try {
          return await store(decision);
        } catch (error) {
          if (!(error instanceof WrongExpectedRevisionError)) throw error;
        }
      }
      return expectedRevision === undefined ? retryOnConflict(attempt) : attempt();
    };
    const { outcome, position } = await this.#turns.acquire(stream, run);
    if (position !== undefined) await this.#waitForReadModel(position);
    return outcome;
  }

  async #sealed(stream: string, event: NewEvent): Promise<NewEvent> {
    return { ...event, data: await this.#personalFields.seal({ ...event, stream }) };
  }
}

/** What a command causes, as it was decided on a state. */
interface Decision<Event extends DomainEvent, State> {
  readonly loaded: Loaded<State>;
  readonly happened: readonly Occurred<Event>[];
  readonly occurredAt: string;
}

/**
 * The decision, if it has events: the store takes them only at the revision that it was made at. That a command is refused, or
 * changes nothing, may be so no more, and has to be decided on what the store holds.
 */
function decidedEvents<Decided extends Decision<DomainEvent, unknown>>(
  decide: () => Decided,
): Decided | undefined {
  try {
    const decision = decide();
    return decision.happened.length > 0 ? decision : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Runs `attempt` again whenever another writer was faster.
 *
 * @throws KeyturnError `CONTENDED` when that happened too often in a row
 */
export async function retryOnConflict<Result>(attempt: () => Promise<Result>): Promise<Result> {
  try {
    return await pRetry(attempt, {
      retries: conflictRetries,
      minTimeout: 2,
      maxTimeout: 100,
      factor: 1.5,
      randomize: true,
      shouldRetry: ({ error }) => error instanceof WrongExpectedRevisionError,
    });
  } catch (error) {
    throw error instanceof WrongExpectedRevisionError
      ? new KeyturnError('CONTENDED', { cause: error })
      : error;
  }
}

/** The ids of a command's events: made once, so that an append that is repeated lands once. */
class EventIds {
  readonly #ids: string[] = [];

  at(index: number): string {
    this.#ids[index] ??= randomUUID();
    return this.#ids[index];
  }
}

function nextRevision(revision: bigint | 'no_stream'): bigint {
  return revision === 'no_stream' ? 0n : revision + 1n;
}

/** The event as it is stored, but for the hash of the one before it. */
function describe(event: Occurred<DomainEvent>, id: string, context: CommandContext): NewEvent {
  const { data, schemaVersion } = checkNewEvent(eventCatalogue, event);
  const metadata = {
    schemaVersion,
    occurredAt: event.occurredAt,
    editor: context.editor,
    ...(context.origin && { origin: context.origin }),
    $correlationId: context.correlationId,
    $causationId: context.causationId,
  } satisfies Omit<EventMetadata, 'previousHash'>;
  return { id, type: event.type, data: data as JsonObject, metadata };
}

/** The events, each with the hash of the one before it, and the hash of the last. */
function chained(
  stream: string,
  described: readonly NewEvent[],
  loaded: Loaded<unknown>,
): { events: NewEvent[]; lastHash: string | null } {
  let revision = nextRevision(loaded.revision);
  let lastHash = loaded.hash;
  const events = described.map((event) => {
    const stored = { ...event, metadata: { ...event.metadata, previousHash: lastHash } };
    lastHash = hashOfEvent({ ...stored, stream, revision });
    revision += 1n;
    return stored;
  });
  return { events, lastHash };
}
