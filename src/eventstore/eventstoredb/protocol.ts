import shared from '@eventstore/db-client/generated/shared_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import { UnreadableEventError } from '../errors.ts';
import type { Direction, EventFilter, ExpectedRevision, JsonObject, RecordedEvent } from '../event-store.ts';
import type { SerializedEvent } from '../new-events.ts';
import { isOfPersonalKey, personalKeyTypes } from './personal-key-streams.ts';

export type ReadRequest = InstanceType<typeof streams.ReadReq>;
type ReadOptions = InstanceType<typeof streams.ReadReq.Options>;
export type AppendRequest = InstanceType<typeof streams.AppendReq>;
export type AppendResponse = InstanceType<typeof streams.AppendResp>;
export type ReadResponse = InstanceType<typeof streams.ReadResp>;

/** The messages of one Append call: the stream and what is expected of it, then each event. */
export function appendRequests(
  stream: string,
  events: readonly SerializedEvent[],
  expectedRevision: ExpectedRevision,
): AppendRequest[] {
  const options = new streams.AppendReq.Options();
  options.setStreamIdentifier(streamIdentifier(stream));
  if (expectedRevision === 'any') options.setAny(new shared.Empty());
  else if (expectedRevision === 'no_stream') options.setNoStream(new shared.Empty());
  else if (expectedRevision === 'stream_exists') options.setStreamExists(new shared.Empty());
  else options.setRevision(String(expectedRevision));
  const proposed = events.map((event) => {
    const message = new streams.AppendReq.ProposedMessage();
    const id = new shared.UUID();
    id.setString(event.id);
    message.setId(id);
    message.getMetadataMap().set('type', event.type).set('content-type', 'application/json');
    message.setData(Buffer.from(event.data));
    message.setCustomMetadata(Buffer.from(event.metadata));
    return new streams.AppendReq().setProposedMessage(message);
  });
  return [new streams.AppendReq().setOptions(options), ...proposed];
}

export interface StreamPage {
  /** Inclusive. */
  readonly from: bigint | undefined;
  readonly direction: Direction;
  readonly count: number;
}

export function readStreamRequest(stream: string, { from, direction, count }: StreamPage): ReadRequest {
  const streamOptions = new streams.ReadReq.Options.StreamOptions();
  streamOptions.setStreamIdentifier(streamIdentifier(stream));
  if (from !== undefined) streamOptions.setRevision(String(from));
  else if (direction === 'forwards') streamOptions.setStart(new shared.Empty());
  else streamOptions.setEnd(new shared.Empty());
  const options = readOptions(direction).setStream(streamOptions).setNoFilter(new shared.Empty());
  return new streams.ReadReq().setOptions(options.setCount(String(count)));
}

export interface LogPage {
  /** Inclusive forwards and exclusive backwards, as the store has it. */
  readonly from: bigint | undefined;
  readonly direction: Direction;
  readonly filter: EventFilter | undefined;
  readonly count: number;
}

export function readAllRequest({ from, direction, filter, count }: LogPage): ReadRequest {
  const options = readOptions(direction).setAll(logStart(from, direction)).setFilter(filterOptions(filter));
  return new streams.ReadReq().setOptions(options.setCount(String(count)));
}

/** @param after Exclusive. */
export function subscribeRequest(after: bigint | undefined, filter: EventFilter | undefined): ReadRequest {
  const options = readOptions('forwards')
    .setAll(logStart(after, 'forwards'))
    .setFilter(filterOptions(filter))
    .setSubscription(new streams.ReadReq.Options.SubscriptionOptions());
  return new streams.ReadReq().setOptions(options);
}

/** What is kept of an answer to a read. */
export type EventReader = (response: ReadResponse) => RecordedEvent | undefined;

/**
 * The event in an answer, or undefined where it is none of the log's: an event of the store itself, one about a personal key,
 * or one that is not a JSON object.
 *
 * @throws UnreadableEventError the event is said to be JSON, and its data or metadata is not
 */
export function recordedEvent(response: ReadResponse): RecordedEvent | undefined {
  const event = jsonEvent(response);
  const isOfLog = event !== undefined && !event.type.startsWith('$') && !isOfPersonalKey(event);
  return isOfLog ? event : undefined;
}

/** The event in an answer, whoever wrote it, or undefined where it is not a JSON object. */
export function jsonEvent(response: ReadResponse): RecordedEvent | undefined {
  const event = response.getEvent()?.getEvent();
  if (event === undefined) return undefined;
  const header = event.getMetadataMap();
  if (header.get('content-type') !== 'application/json') return undefined;
  const place = {
    stream: Buffer.from(event.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString('utf8'),
    revision: BigInt(event.getStreamRevision()),
    position: BigInt(event.getCommitPosition()),
  };
  const data = parseJson(event.getData_asU8(), place);
  if (!isJsonObject(data)) return undefined;
  const customMetadata = event.getCustomMetadata_asU8();
  const metadata = customMetadata.length === 0 ? {} : parseJson(customMetadata, place);
  if (!isJsonObject(metadata)) return undefined;
  return {
    ...place,
    id: event.getId()?.getString() ?? '',
    type: header.get('type') ?? '',
    data,
    metadata,
    // In ticks of 100 nanoseconds.
    recordedAt: new Date(Number(BigInt(header.get('created') ?? '0') / 10_000n)),
  };
}

/** How far the log has been read with an answer to a subscription: to its event, ours or not, or to its checkpoint. */
export function positionOf(response: ReadResponse): bigint | undefined {
  const position =
    response.getEvent()?.getEvent()?.getCommitPosition() ?? response.getCheckpoint()?.getCommitPosition();
  if (position === undefined) return undefined;
  // A checkpoint before the first event of the log is -1, sent as an unsigned number.
  return BigInt(position) > largestPosition ? undefined : BigInt(position);
}

const largestPosition = 2n ** 63n - 1n;

function readOptions(direction: Direction): ReadOptions {
  const uuid = new streams.ReadReq.Options.UUIDOption().setString(new shared.Empty());
  const { FORWARDS, BACKWARDS } = streams.ReadReq.Options.ReadDirection;
  return new streams.ReadReq.Options()
    .setReadDirection(direction === 'forwards' ? FORWARDS : BACKWARDS)
    .setResolveLinks(false)
    .setUuidOption(uuid);
}

function logStart(from: bigint | undefined, direction: Direction) {
  const options = new streams.ReadReq.Options.AllOptions();
  if (from !== undefined) {
    // What Keyturn writes needs no transaction record of its own: both positions of its events are the same.
    const position = new streams.ReadReq.Options.Position()
      .setCommitPosition(String(from))
      .setPreparePosition(String(from));
    return options.setPosition(position);
  }
  return direction === 'forwards' ? options.setStart(new shared.Empty()) : options.setEnd(new shared.Empty());
}

/** Without a filter of the caller's: all but the store's own events, whose types begin with `$`, and those about personal keys. */
function filterOptions(filter: EventFilter | undefined) {
  const expression = new streams.ReadReq.Options.FilterOptions.Expression();
  const options = new streams.ReadReq.Options.FilterOptions()
    .setCount(new shared.Empty())
    .setCheckpointintervalmultiplier(1);
  if (filter === undefined) return options.setEventType(expression.setRegex(`^(?!\\$|${personalKeyTypes})`));
  const prefixes = 'streamPrefixes' in filter ? filter.streamPrefixes : filter.typePrefixes;
  // A list without a prefix would be none of the kinds of filter that the store knows.
  if (prefixes.length === 0) expression.setRegex(matchesNothing);
  else expression.setPrefixList([...prefixes]);
  return 'streamPrefixes' in filter
    ? options.setStreamIdentifier(expression)
    : options.setEventType(expression);
}

const matchesNothing = '(?!)';

function streamIdentifier(stream: string) {
  return new shared.StreamIdentifier().setStreamName(Buffer.from(stream));
}

type Place = ConstructorParameters<typeof UnreadableEventError>[0];

function parseJson(bytes: Uint8Array, place: Place): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw new UnreadableEventError(place);
  }
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
