import { once } from 'node:events';
import gossipServices from '@eventstore/db-client/generated/gossip_grpc_pb.js';
import gossip from '@eventstore/db-client/generated/gossip_pb.js';
import featureServices from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import features from '@eventstore/db-client/generated/serverfeatures_pb.js';
import shared from '@eventstore/db-client/generated/shared_pb.js';
import streamServices from '@eventstore/db-client/generated/streams_grpc_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { type AppendOutcome, type Expected, type ProposedEvent, StoreLog } from './log.ts';
import { RefusedReadError, readPage, subscribe } from './reads.ts';

type ReadRequest = InstanceType<typeof streams.ReadReq>;
type ReadResponse = InstanceType<typeof streams.ReadResp>;
type AppendRequest = InstanceType<typeof streams.AppendReq>;
type AppendResponse = InstanceType<typeof streams.AppendResp>;
type BatchRequest = InstanceType<typeof streams.BatchAppendReq>;
type BatchResponse = InstanceType<typeof streams.BatchAppendResp>;
type ClusterInfo = InstanceType<typeof gossip.ClusterInfo>;

/** What goes wrong with an append. */
export interface AppendFault {
  /** The events are written all the same. */
  readonly committed?: boolean;
  /** How the call ends; without it there is never an answer. */
  readonly error?: { readonly code: status; readonly details: string };
  /** Done before the call ends: to cut connections, say. */
  readonly also?: () => void;
}

export interface EventStoreDbServerOptions {
  readonly log?: StoreLog;
  /** 0 picks a free one. */
  readonly port?: number;
}

/** `MaxAppendSize` of the server, in bytes. */
const maxAppendSize = 1024 * 1024;

/**
 * A node of EventStoreDB 24.10 as its clients see it: the services and errors that Keyturn's adapter meets, as strict as
 * the real one, with faults on demand.
 */
export class EventStoreDbServer {
  readonly log: StoreLog;
  port: number;
  /** The node that leads, where it is not this one. Then this one refuses whoever requires the leader. */
  leader: EventStoreDbServer | undefined;
  /** Asked for each append; what it returns goes wrong. */
  failAppend: (stream: string) => AppendFault | undefined = () => undefined;
  /** Awaited before each answer to a read. */
  beforeRead: () => Promise<void> = async () => {};
  /** Subscriptions send nothing more, and do not end. */
  isMute = false;
  /** As servers before 24.10.5: a page that the filter leaves empty is answered with a checkpoint at the log's end. */
  skipsAhead = false;
  /** Names of the methods that were called, in order. */
  readonly calls: string[] = [];
  /** How many answers to reads and subscriptions were handed to the transport. */
  sent = 0;
  #server: Server | undefined;

  private constructor({ log = new StoreLog(), port = 0 }: EventStoreDbServerOptions) {
    this.log = log;
    this.port = port;
  }

  static async start(options: EventStoreDbServerOptions = {}): Promise<EventStoreDbServer> {
    const server = new EventStoreDbServer(options);
    await server.start();
    return server;
  }

  get connectionString(): string {
    return `esdb://127.0.0.1:${this.port}?tls=false`;
  }

  /** Starts again after `stop`, on the same port. */
  async start(): Promise<void> {
    const server = new Server({ 'grpc.max_receive_message_length': 17 * 1024 * 1024 });
    this.#server = server;
    server.addService(streamServices.StreamsService, {
      read: (call: ServerWritableStream<ReadRequest, ReadResponse>) => void this.#read(call),
      append: (
        call: ServerReadableStream<AppendRequest, AppendResponse>,
        answer: sendUnaryData<AppendResponse>,
      ) => void this.#append(call, answer),
      batchAppend: (call: ServerDuplexStream<BatchRequest, BatchResponse>) => this.#batchAppend(call),
      delete: unimplemented,
      tombstone: unimplemented,
    });
    server.addService(featureServices.ServerFeaturesService, { getSupportedMethods: answerFeatures });
    server.addService(gossipServices.GossipService, {
      read: (_call: ServerUnaryCall<unknown, ClusterInfo>, answer: sendUnaryData<ClusterInfo>) =>
        answer(null, this.#members()),
    });
    const bind = Promise.withResolvers<number>();
    server.bindAsync(`127.0.0.1:${this.port}`, ServerCredentials.createInsecure(), (error, port) =>
      error ? bind.reject(error) : bind.resolve(port),
    );
    this.port = await bind.promise;
  }

  /** Ends at once, as a killed process does: every call and connection breaks. The log stays. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  async #read(call: ServerWritableStream<ReadRequest, ReadResponse>): Promise<void> {
    const options = call.request.getOptions() ?? new streams.ReadReq.Options();
    this.calls.push(options.hasSubscription() ? 'Subscribe' : 'Read');
    try {
      this.#requireLeader(call.metadata);
      await this.beforeRead();
      const responses = options.hasSubscription()
        ? subscribe(this.log, options, { isMute: () => this.isMute, skipsAhead: this.skipsAhead })
        : readPage(this.log, options);
      for await (const response of responses) {
        if (call.cancelled || call.destroyed) return;
        this.sent++;
        if (!call.write(response)) await drained(call);
      }
      call.end();
    } catch (error) {
      call.emit('error', statusOf(error));
    }
  }

  async #append(
    call: ServerReadableStream<AppendRequest, AppendResponse>,
    answer: sendUnaryData<AppendResponse>,
  ): Promise<void> {
    this.calls.push('Append');
    try {
      this.#requireLeader(call.metadata);
      const [first, ...rest] = await Array.fromAsync(call as AsyncIterable<AppendRequest>);
      const options = first?.getOptions();
      if (options === undefined) throw refusal(status.UNKNOWN, 'Exception was thrown by handler.');
      const stream = text(options.getStreamIdentifier()?.getStreamName_asU8());
      const events = rest.map((request) => proposedEvent(request.getProposedMessage()));
      checkSize(events);
      const fault = this.failAppend(stream);
      if (fault !== undefined && fault.committed !== true) return this.#fail(fault, answer);
      const outcome = this.log.append(stream, events, expectedOf(options));
      if (fault !== undefined) return this.#fail(fault, answer);
      answer(null, appendResponse(outcome, options));
    } catch (error) {
      answer(statusOf(error));
    }
  }

  #fail({ error, also }: AppendFault, answer: sendUnaryData<AppendResponse>): void {
    also?.();
    if (error !== undefined) answer(refusal(error.code, error.details));
  }

  /** One stream for all appends of a client: an error ends it with all that are under way on it. */
  #batchAppend(call: ServerDuplexStream<BatchRequest, BatchResponse>): void {
    this.calls.push('BatchAppend');
    call.on('data', (request: BatchRequest) => {
      const options = request.getOptions();
      const stream = text(options?.getStreamIdentifier()?.getStreamName_asU8());
      const fault = this.failAppend(stream);
      if (fault !== undefined) {
        if (fault.error) call.emit('error', refusal(fault.error.code, fault.error.details));
        return;
      }
      const events = request.getProposedMessagesList().map(proposedEvent);
      const outcome = this.log.append(stream, events, 'any');
      if ('actual' in outcome) return;
      const success = new streams.BatchAppendResp.Success().setCurrentRevision(String(outcome.revision));
      call.write(
        new streams.BatchAppendResp()
          .setCorrelationId(request.getCorrelationId())
          .setStreamIdentifier(options?.getStreamIdentifier())
          .setSuccess(success),
      );
    });
    call.on('end', () => call.end());
  }

  #requireLeader(metadata: Metadata): void {
    if (this.leader === undefined || metadata.get('requires-leader')[0] !== 'true') return;
    throw refusal(status.NOT_FOUND, 'Leader info available', {
      exception: 'not-leader',
      'leader-endpoint-host': '127.0.0.1',
      'leader-endpoint-port': String(this.leader.port),
    });
  }

  #members(): ClusterInfo {
    const { LEADER, FOLLOWER } = gossip.MemberInfo.VNodeState;
    const member = (server: EventStoreDbServer, leads: boolean) =>
      new gossip.MemberInfo()
        .setInstanceId(new shared.UUID().setString(crypto.randomUUID()))
        .setState(leads ? LEADER : FOLLOWER)
        .setIsAlive(true)
        .setHttpEndPoint(new gossip.EndPoint().setAddress('127.0.0.1').setPort(server.port));
    const others = this.leader ? [member(this.leader, true)] : [];
    return new gossip.ClusterInfo().setMembersList([member(this, this.leader === undefined), ...others]);
  }
}

/** Resolves when the client has read what was sent, or is gone. */
async function drained(call: ServerWritableStream<ReadRequest, ReadResponse>): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([once(call, 'drain', { signal }), once(call, 'cancelled', { signal })]).finally(() =>
    over.abort(),
  );
}

function unimplemented(_call: unknown, answer: sendUnaryData<never>): void {
  answer(refusal(status.UNIMPLEMENTED, 'not part of this server'));
}

/** The batch append is announced, so that whoever would choose it does. */
function answerFeatures(
  _call: unknown,
  answer: sendUnaryData<InstanceType<typeof features.SupportedMethods>>,
): void {
  const batchAppend = new features.SupportedMethod()
    .setServiceName('event_store.client.streams.streams')
    .setMethodName('batchappend');
  answer(
    null,
    new features.SupportedMethods().setEventStoreServerVersion('24.10.4').setMethodsList([batchAppend]),
  );
}

function expectedOf(options: InstanceType<typeof streams.AppendReq.Options>): Expected {
  if (options.hasAny()) return 'any';
  if (options.hasNoStream()) return 'no_stream';
  if (options.hasStreamExists()) return 'stream_exists';
  if (options.hasRevision()) return BigInt(options.getRevision());
  throw refusal(status.INVALID_ARGUMENT, "'None' is not a valid value");
}

function proposedEvent(
  message:
    | InstanceType<typeof streams.AppendReq.ProposedMessage>
    | InstanceType<typeof streams.BatchAppendReq.ProposedMessage>
    | undefined,
): ProposedEvent {
  if (message === undefined) throw refusal(status.UNKNOWN, 'Exception was thrown by handler.');
  const [type, contentType] = ['type', 'content-type'].map((name) => {
    const value = message.getMetadataMap().get(name);
    if (value !== undefined) return value;
    throw refusal(status.INVALID_ARGUMENT, `Required Metadata Property '${name}' is missing`, {
      exception: 'missing-required-metadata-property',
      'required-metadata-properties': 'type,content-type',
    });
  }) as [string, string];
  return {
    id: message.getId()?.getString() ?? '',
    type,
    contentType,
    data: message.getData_asU8(),
    metadata: message.getCustomMetadata_asU8(),
  };
}

function checkSize(events: readonly ProposedEvent[]): void {
  const size = events.reduce(
    (sum, { data, metadata, type }) => sum + data.length + metadata.length + 2 * type.length,
    0,
  );
  if (size <= maxAppendSize) return;
  throw refusal(status.INVALID_ARGUMENT, `Maximum Append Size of ${maxAppendSize} Exceeded.`, {
    exception: 'maximum-append-size-exceeded',
    'maximum-append-size': String(maxAppendSize),
  });
}

function appendResponse(
  outcome: AppendOutcome,
  options: InstanceType<typeof streams.AppendReq.Options>,
): AppendResponse {
  if (!('actual' in outcome)) {
    const position = new streams.AppendResp.Position()
      .setCommitPosition(String(outcome.position))
      .setPreparePosition(String(outcome.position));
    const success = new streams.AppendResp.Success()
      .setCurrentRevision(String(outcome.revision))
      .setPosition(position);
    return new streams.AppendResp().setSuccess(success);
  }
  const conflict = new streams.AppendResp.WrongExpectedVersion();
  if (outcome.actual === 'no_stream') conflict.setCurrentNoStream(new shared.Empty());
  else conflict.setCurrentRevision(String(outcome.actual));
  if (options.hasAny()) conflict.setExpectedAny(new shared.Empty());
  else if (options.hasStreamExists()) conflict.setExpectedStreamExists(new shared.Empty());
  else if (options.hasNoStream()) conflict.setExpectedNoStream(new shared.Empty());
  else conflict.setExpectedRevision(options.getRevision());
  return new streams.AppendResp().setWrongExpectedVersion(conflict);
}

type Refusal = Error & { code: status; details: string; metadata: Metadata };

function refusal(code: status, details: string, trailers: Readonly<Record<string, string>> = {}): Refusal {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(trailers)) metadata.set(name, value);
  return Object.assign(new Error(details), { code, details, metadata });
}

function statusOf(error: unknown): Refusal {
  if (error instanceof RefusedReadError) return refusal(error.code, error.message);
  if (error instanceof Error && 'code' in error && typeof error.code === 'number') return error as Refusal;
  return refusal(status.UNKNOWN, `Exception was thrown by handler. ${String(error)}`);
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('utf8');
}
