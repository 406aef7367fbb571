import shared from '@eventstore/db-client/generated/shared_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import { status } from '@grpc/grpc-js';
import type { StoredEvent, StoreLog } from './log.ts';

type ReadResponse = InstanceType<typeof streams.ReadResp>;
type ReadOptions = InstanceType<typeof streams.ReadReq.Options>;

export class RefusedReadError extends Error {
  readonly code: status;

  constructor(code: status, details: string) {
    super(details);
    this.code = code;
  }
}

/** So many events are read at once, and considered before a checkpoint is sent. */
const window = 32;
/** -1 as the protocol has it: before the first event of the log. */
const beforeFirst = '18446744073709551615';

const { FORWARDS } = streams.ReadReq.Options.ReadDirection;

/** The answers to a read that ends. */
export function* readPage(log: StoreLog, options: ReadOptions): Generator<ReadResponse> {
  requireUuidOption(options);
  const events = options.hasStream() ? streamEvents(log, options) : logEvents(log, options);
  if (events === undefined) {
    const notFound = new streams.ReadResp.StreamNotFound();
    notFound.setStreamIdentifier(options.getStream()?.getStreamIdentifier());
    yield new streams.ReadResp().setStreamNotFound(notFound);
    return;
  }
  for (const event of events.slice(0, Number(options.getCount()))) yield eventResponse(event);
}

/** The answers to a subscription to all streams, which never ends. */
export async function* subscribe(
  log: StoreLog,
  options: ReadOptions,
  { isMute, skipsAhead }: { readonly isMute: () => boolean; readonly skipsAhead: boolean },
): AsyncGenerator<ReadResponse> {
  requireUuidOption(options);
  const filter = filterOf(options);
  let next = firstAfter(log, options);
  let sent = log.events[next - 1]?.position;
  yield new streams.ReadResp().setConfirmation(
    new streams.ReadResp.SubscriptionConfirmation().setSubscriptionId(crypto.randomUUID()),
  );
  for (;;) {
    while (next < log.events.length) {
      const page = log.events.slice(next, next + window);
      next += page.length;
      for (const event of page.filter(filter)) {
        sent = event.position;
        yield eventResponse(event);
      }
      if (page.length === window) {
        sent = page.at(-1)?.position;
        yield checkpoint(skipsAhead ? positionAfter(page.filter(filter), log) : sent);
      }
    }
    // As the real one does: the checkpoint is of the last that was sent, not of the last that was read.
    yield checkpoint(sent);
    yield new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp());
    do await log.grown;
    while (isMute());
  }
}

function positionAfter(kept: readonly StoredEvent[], log: StoreLog): bigint | undefined {
  return (kept.at(-1) ?? log.events.at(-1))?.position;
}

function streamEvents(log: StoreLog, options: ReadOptions): StoredEvent[] | undefined {
  if (!options.hasNoFilter()) throw new RefusedReadError(status.INVALID_ARGUMENT, 'Invalid Combination');
  const stream = options.getStream();
  const name = Buffer.from(stream?.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString('utf8');
  const readable = log.readable(name);
  if (readable === undefined) return undefined;
  const last = log.stream(name).length - 1;
  if (options.getReadDirection() === FORWARDS) {
    const from = stream?.hasRevision() ? Number(stream.getRevision()) : stream?.hasEnd() ? last + 1 : 0;
    return readable.filter(({ revision }) => revision >= from);
  }
  const from = stream?.hasRevision() ? Number(stream.getRevision()) : stream?.hasStart() ? 0 : last;
  return readable.filter(({ revision }) => revision <= from).toReversed();
}

/** Forwards from a position, the event at it included; backwards, without it. */
function logEvents(log: StoreLog, options: ReadOptions): StoredEvent[] {
  const filter = filterOf(options);
  const all = options.getAll();
  const at = all?.hasPosition() ? BigInt(all.getPosition()?.getCommitPosition() ?? 0) : undefined;
  const end = log.events.at(-1)?.position ?? 0n;
  const forwards = options.getReadDirection() === FORWARDS;
  if (at !== undefined) {
    if (at > end && !forwards) {
      throw new RefusedReadError(status.UNKNOWN, 'Unexpected FilteredReadAllResult: Error');
    }
    if (at > 0n && at <= end && !log.events.some((event) => event.position === at)) {
      throw new RefusedReadError(status.UNKNOWN, 'Unexpected FilteredReadAllResult: InvalidPosition');
    }
  }
  if (forwards) {
    if (all?.hasEnd()) return [];
    return log.events.filter((event) => event.position >= (at ?? 0n) && filter(event));
  }
  if (all?.hasStart()) return [];
  return log.events.filter((event) => event.position < (at ?? end + 1n) && filter(event)).toReversed();
}

/** Index of the first event after the position, exclusively. */
function firstAfter(log: StoreLog, options: ReadOptions): number {
  const all = options.getAll();
  if (all?.hasEnd()) return log.events.length;
  if (!all?.hasPosition()) return 0;
  const at = BigInt(all.getPosition()?.getCommitPosition() ?? 0);
  const end = log.events.at(-1)?.position ?? 0n;
  const index = log.events.findIndex((event) => event.position === at);
  if (index < 0 && at <= end) {
    throw new RefusedReadError(status.INVALID_ARGUMENT, 'Trying to read from an invalid position.');
  }
  return index < 0 ? log.events.length : index + 1;
}

function filterOf(options: ReadOptions): (event: StoredEvent) => boolean {
  if (options.hasNoFilter()) return () => true;
  const filter = options.getFilter();
  const expression = filter?.getEventType() ?? filter?.getStreamIdentifier();
  if (filter === undefined || expression === undefined || !(filter.hasCount() || filter.hasMax())) {
    throw new RefusedReadError(status.INVALID_ARGUMENT, 'not a valid filter');
  }
  const subject = filter.hasEventType()
    ? (event: StoredEvent) => event.type
    : (event: StoredEvent) => event.stream;
  if (expression.getRegex() !== '') {
    const pattern = new RegExp(expression.getRegex());
    return (event) => pattern.test(subject(event));
  }
  const prefixes = expression.getPrefixList();
  return (event) => prefixes.some((prefix) => subject(event).startsWith(prefix));
}

function requireUuidOption(options: ReadOptions): void {
  if (!options.hasUuidOption()) {
    throw new RefusedReadError(status.INVALID_ARGUMENT, "Value cannot be null. (Parameter 'uuidOption')");
  }
}

function checkpoint(position: bigint | undefined): ReadResponse {
  const at = position === undefined ? beforeFirst : String(position);
  return new streams.ReadResp().setCheckpoint(
    new streams.ReadResp.Checkpoint().setCommitPosition(at).setPreparePosition(at),
  );
}

function eventResponse(event: StoredEvent): ReadResponse {
  const recorded = new streams.ReadResp.ReadEvent.RecordedEvent()
    .setId(new shared.UUID().setString(event.id))
    .setStreamIdentifier(new shared.StreamIdentifier().setStreamName(Buffer.from(event.stream)))
    .setStreamRevision(String(event.revision))
    .setCommitPosition(String(event.position))
    .setPreparePosition(String(event.position))
    .setData(event.data)
    .setCustomMetadata(event.metadata);
  recorded
    .getMetadataMap()
    .set('type', event.type)
    .set('content-type', event.contentType)
    .set('created', String(event.created));
  const read = new streams.ReadResp.ReadEvent().setEvent(recorded).setCommitPosition(String(event.position));
  return new streams.ReadResp().setEvent(read);
}
