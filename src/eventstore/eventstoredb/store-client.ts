import { EventStoreDBClient } from '@eventstore/db-client';
import type { SingleNodeOptions } from '@eventstore/db-client/dist/Client/index.js';
import grpcServices from '@eventstore/db-client/generated/streams_grpc_pb.js';
import {
  type CallOptions,
  Channel,
  type ClientReadableStream,
  credentials,
  type Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { AppendTooLargeError, EventStoreUnusableError, WrongExpectedRevisionError } from '../errors.ts';
import {
  type EventFilter,
  type ExpectedRevision,
  maxAppendBytes,
  type RecordedEvent,
} from '../event-store.ts';
import type { SerializedEvent } from '../new-events.ts';
import type { ConnectionSettings, Endpoint } from './connection-string.ts';
import { InvalidPositionError, PassingFault } from './faults.ts';
import {
  type AppendResponse,
  appendRequests,
  type EventReader,
  type LogPage,
  positionOf,
  type ReadRequest,
  type ReadResponse,
  readAllRequest,
  readStreamRequest,
  recordedEvent,
  type StreamPage,
  subscribeRequest,
} from './protocol.ts';

export interface StoreAppendResult {
  readonly revision: bigint;
  /** Undefined where the store does not say. */
  readonly position: bigint | undefined;
}

/** A connection to one node takes this long to be tried again at most, in milliseconds. */
const longestReconnect = 1000;
/** In bytes: the largest event that the store can hold, and some room. */
const largestMessage = 17 * 1024 * 1024;

/**
 * One connection to the node that leads. Every call has a deadline, and fails with a {@link PassingFault} where it may
 * succeed at another time.
 *
 * It has a channel and streams of its own. The client's own methods share one stream for the appends of a process, so
 * that a fault of one rejects them all, and reconnect in ways that can end the process (ADR 15): used here are what it
 * knows about finding the leader, credentials and the protocol.
 */
export class StoreClient {
  readonly #node: Node;
  readonly #channel: Channel;
  readonly #streams: InstanceType<typeof grpcServices.StreamsClient>;
  readonly #deadline: number;

  private constructor(node: Node, channel: Channel, deadline: number) {
    this.#node = node;
    this.#channel = channel;
    this.#streams = new grpcServices.StreamsClient('', credentials.createInsecure(), {
      channelOverride: channel,
    });
    this.#deadline = deadline;
  }

  /** @param leader Where it is, when a node has said so. Default: found out by the settings. */
  static async connect(settings: ConnectionSettings, leader?: Endpoint): Promise<StoreClient> {
    const node = new Node(settings);
    const target = leader ? `${leader.address}:${leader.port}` : await node.locate(settings.deadline);
    const channel = new Channel(target, channelCredentials(settings), {
      'grpc.keepalive_time_ms': settings.keepAliveInterval < 0 ? -1 : settings.keepAliveInterval,
      'grpc.keepalive_timeout_ms': settings.keepAliveTimeout < 0 ? -1 : settings.keepAliveTimeout,
      'grpc.max_receive_message_length': largestMessage,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': longestReconnect,
      // Else a new channel would inherit how long the one before it meant to wait.
      'grpc.use_local_subchannel_pool': 1,
    });
    return new StoreClient(node, channel, settings.deadline);
  }

  /** @throws WrongExpectedRevisionError, AppendTooLargeError, EventStoreUnusableError, PassingFault */
  append(
    stream: string,
    events: readonly SerializedEvent[],
    expectedRevision: ExpectedRevision,
  ): Promise<StoreAppendResult> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(faultOf(error, stream));
      const call = this.#streams.append(...this.#arguments(this.#deadline), (error, response) => {
        if (error !== null) return fail(error);
        const outcome = appendOutcome(response, stream, expectedRevision);
        return outcome instanceof Error ? reject(outcome) : resolve(outcome);
      });
      call.on('error', fail);
      for (const request of appendRequests(stream, events, expectedRevision)) call.write(request);
      call.end();
    });
  }

  /** The events of one page, each taken from its answer when it is asked for; none when there is no such stream. */
  async readStream(
    stream: string,
    page: StreamPage,
    read: EventReader = recordedEvent,
  ): Promise<Iterable<RecordedEvent>> {
    const responses = await this.#readEvents(readStreamRequest(stream, page), stream);
    return responses.values().map((response) => {
      const event = read(response);
      if (event === undefined) {
        throw new EventStoreUnusableError(`stream ${stream} holds an event that is none of Keyturn's log`);
      }
      return event;
    });
  }

  /** The answers with the events of one page of the log, those that are not ours too. */
  readAll(page: LogPage): Promise<readonly ReadResponse[]> {
    return this.#readEvents(readAllRequest(page), '$all');
  }

  /** Position of the last event that the filter keeps, also where it cannot be read; 0 when there is none. */
  async headPosition(filter?: EventFilter): Promise<bigint> {
    const [last] = await this.readAll({ from: undefined, direction: 'backwards', filter, count: 1 });
    return (last && positionOf(last)) ?? 0n;
  }

  /** The answers to a subscription, until it fails. Without a deadline: whoever reads has to watch over it. */
  subscribe(after: bigint | undefined, filter: EventFilter | undefined): ClientReadableStream<ReadResponse> {
    return this.#streams.read(subscribeRequest(after, filter), ...this.#arguments(Number.POSITIVE_INFINITY));
  }

  close(): void {
    this.#channel.close();
  }

  async #readEvents(request: ReadRequest, stream: string): Promise<readonly ReadResponse[]> {
    const call = this.#streams.read(request, ...this.#arguments(this.#deadline));
    try {
      const responses = await Array.fromAsync(call as AsyncIterable<ReadResponse>);
      return responses.filter((response) => response.hasEvent());
    } catch (error) {
      throw faultOf(error, stream);
    } finally {
      call.cancel();
    }
  }

  #arguments(deadline: number): [Metadata, CallOptions] {
    return this.#node.callArgumentsWith(deadline);
  }
}

function appendOutcome(
  response: AppendResponse,
  stream: string,
  expectedRevision: ExpectedRevision,
): StoreAppendResult | Error {
  const conflict = response.getWrongExpectedVersion();
  if (conflict !== undefined) {
    const actual = conflict.hasCurrentRevision() ? BigInt(conflict.getCurrentRevision()) : 'no_stream';
    return new WrongExpectedRevisionError(stream, expectedRevision, actual);
  }
  const success = response.getSuccess();
  if (success === undefined) return new PassingFault('the event store gave no answer to an append');
  const position = success.getPosition()?.getCommitPosition();
  return {
    revision: BigInt(success.getCurrentRevision()),
    position: position === undefined ? undefined : BigInt(position),
  };
}

/** What the library knows of the store: where its leader is, and what a call carries. */
class Node extends EventStoreDBClient {
  constructor(settings: ConnectionSettings) {
    const { hosts, discover, connectionName } = settings;
    const discovery = {
      ...(settings.discoveryInterval !== undefined && { discoveryInterval: settings.discoveryInterval }),
      ...(settings.maxDiscoverAttempts !== undefined && {
        maxDiscoverAttempts: settings.maxDiscoverAttempts,
      }),
      ...(settings.gossipTimeout !== undefined && { gossipTimeout: settings.gossipTimeout }),
    };
    const [first] = hosts;
    const where = discover
      ? { discover: first, ...discovery }
      : hosts.length > 1
        ? { endpoints: [...hosts], ...discovery }
        : { endpoint: first };
    const { certificateAuthority, userCertificate } = settings;
    super(
      // The overloads take each of the three, but not one that is not known which.
      { ...where, ...(connectionName !== undefined && { connectionName }) } as SingleNodeOptions,
      {
        insecure: !settings.tls,
        ...(certificateAuthority && { rootCertificate: certificateAuthority }),
        ...(userCertificate && {
          userCertFile: userCertificate.certificate,
          userKeyFile: userCertificate.key,
        }),
      },
      settings.credentials,
    );
  }

  /** `host:port` of the node that leads. */
  async locate(deadline: number): Promise<string> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error('no node answered in time')), deadline);
    try {
      return await Promise.race([this.resolveUri(), late]);
    } catch (error) {
      throw new PassingFault('no node of the event store is found', { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Only a leader answers: whoever reads sees what was written before, by whichever node of Keyturn. */
  callArgumentsWith(milliseconds: number): [Metadata, CallOptions] {
    return this.callArguments(
      { requiresLeader: true },
      { deadline: milliseconds === Number.POSITIVE_INFINITY ? milliseconds : Date.now() + milliseconds },
    );
  }
}

function channelCredentials({ tls, certificateAuthority, userCertificate }: ConnectionSettings) {
  if (!tls) return credentials.createInsecure();
  return credentials.createSsl(
    certificateAuthority ?? null,
    userCertificate?.key ?? null,
    userCertificate?.certificate ?? null,
  );
}

/** Faults that no repetition mends. */
const lastingFaults = new Set<number>([
  status.INVALID_ARGUMENT,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.FAILED_PRECONDITION,
  status.UNIMPLEMENTED,
]);

/** What an error of a call means. The store says more than the gRPC code in the trailer `exception`. */
export function faultOf(error: unknown, stream: string): Error {
  if (!isServiceError(error)) return error instanceof Error ? error : new Error(String(error));
  const exception = trailer(error, 'exception');
  if (exception === 'not-leader') {
    const [address, port] = [trailer(error, 'leader-endpoint-host'), trailer(error, 'leader-endpoint-port')];
    const leader = address === undefined ? {} : { leader: { address, port: Number(port) } };
    return new PassingFault('the node of the event store does not lead', { cause: error, ...leader });
  }
  if (exception === 'maximum-append-size-exceeded') {
    return new AppendTooLargeError(stream, Number(trailer(error, 'maximum-append-size') ?? maxAppendBytes));
  }
  // A read from a position that is none of the log's is answered as an unknown error; one backwards from past its end as any error.
  if (error.details.endsWith('InvalidPosition') || error.details.endsWith('FilteredReadAllResult: Error')) {
    return new InvalidPositionError(`the event store cannot read on from there: ${error.details}`, {
      cause: error,
    });
  }
  if (lastingFaults.has(error.code)) {
    return new EventStoreUnusableError(`the event store refuses the use of ${stream}: ${error.details}`, {
      cause: error,
    });
  }
  return new PassingFault(error.details, { cause: error });
}

function trailer(error: ServiceError, name: string): string | undefined {
  return error.metadata?.get(name)[0]?.toString();
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && typeof error.code === 'number';
}
