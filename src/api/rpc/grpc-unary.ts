import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { type Compression, compressionNegotiate, envelopeCompress } from '@connectrpc/connect/protocol';
import {
  contentTypeProto,
  grpcStatusOk,
  parseTimeout,
  setTrailerStatus,
} from '@connectrpc/connect/protocol-grpc';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { withDeadline } from '../deadline.ts';
import { positionHeader } from '../read-position.ts';
import { requestGone } from '../request-gone.ts';
import { singleHeader } from '../single-header.ts';
import { callMethod } from './call-method.ts';
import { toConnectError } from './connect-error.ts';
import type { ServedMethod } from './served-method.ts';

export interface GrpcUnaryOptions {
  /** In bytes. */
  readonly maxMessageBytes: number;
  /** In milliseconds: how long a call is worked on. A client's own deadline may be shorter. */
  readonly timeLimit: number;
  readonly compressions: Compression[];
  /** The same as in answers over REST. */
  readonly position: () => bigint;
}

/** The body of a request as far as it was read. */
export interface ReadBody {
  readonly chunks: readonly Buffer[];
  /** There is no more of it. */
  readonly isWhole: boolean;
}

const plainType = /^application\/grpc(\+proto)?$/i;
/** In bytes, before a message: whether it is compressed, and how long it is. */
const prefixLength = 5;
/** In bytes: shorter messages are sent as they are. */
const shortestCompressed = 1024;

/** Whether a call is one for {@link serveGrpcUnary}: over gRPC and HTTP/2, and neither compressed nor in JSON. */
export function isPlainGrpc({ raw, headers }: FastifyRequest): boolean {
  const { 'content-type': type = '', 'grpc-encoding': encoding = 'identity' } = headers;
  return raw.httpVersionMajor === 2 && plainType.test(type) && encoding === 'identity';
}

/**
 * Answers a call over gRPC whose message comes whole and as it is, which nearly all do. The handlers of Connect are made for
 * streams of messages in any form, and take more time for such a call than its work does.
 *
 * @returns `served`, also when nobody waits any more; or what was read of a call of another kind
 */
export async function serveGrpcUnary(
  method: ServedMethod,
  request: FastifyRequest,
  reply: FastifyReply,
  { maxMessageBytes, timeLimit, compressions, position }: GrpcUnaryOptions,
): Promise<'served' | ReadBody> {
  const gone = requestGone(reply);
  if (gone.aborted) return 'served';
  const begin = performance.now();
  const body = await readBody(request.raw, prefixLength + maxMessageBytes);
  if (body === undefined) return 'served';
  const message = body.isWhole ? readMessage(method, Buffer.concat(body.chunks)) : undefined;
  const deadline = parseTimeout(header(request, 'grpc-timeout'), Number.MAX_VALUE);
  if (message === undefined || deadline.error !== undefined) return body;

  const accepted = header(request, 'grpc-accept-encoding');
  const compression = compressionNegotiate(compressions, null, accepted, 'grpc-accept-encoding').response;
  const responseHeaders = new Headers();
  let answer: Buffer | undefined;
  let trailer: Headers | undefined;
  try {
    const { timeoutMs = Number.POSITIVE_INFINITY } = deadline;
    const limit = Math.min(timeLimit, timeoutMs - (performance.now() - begin));
    const response = await withDeadline(limit, gone, (signal) =>
      callMethod(method, { message, responseHeaders, signal }, request),
    );
    const data = toBinary(method.descriptor.output, response);
    answer = prefixed(await envelopeCompress({ flags: 0, data }, compression, shortestCompressed));
  } catch (error) {
    trailer = setTrailerStatus(new Headers(), toConnectError(error as Error, request));
    makeMessageReadable(trailer);
  }
  if (gone.aborted) return 'served';
  const { raw } = reply;
  raw.writeHead(200, {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    ...Object.fromEntries(responseHeaders),
    [positionHeader]: String(position()),
    'content-type': contentTypeProto,
    ...(compression && { 'grpc-encoding': compression.name }),
  });
  raw.addTrailers(trailer ? Object.fromEntries(trailer) : { 'grpc-status': grpcStatusOk });
  raw.end(answer);
  return 'served';
}

function header({ headers }: FastifyRequest, name: string): string | null {
  return singleHeader(headers[name]) ?? null;
}

/** @returns undefined: the request ended before its body did */
function readBody(request: IncomingMessage, most: number): Promise<ReadBody | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (body: ReadBody | undefined) => {
      request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      resolve(body);
    };
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length <= most) return;
      request.pause();
      finish({ chunks, isWhole: false });
    };
    const onEnd = () => finish({ chunks, isWhole: true });
    const onGone = () => finish(undefined);
    request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });
}

/** @returns undefined for what is not one message of the method that is not compressed */
function readMessage({ descriptor }: ServedMethod, body: Buffer): Message | undefined {
  const isOne =
    body.length >= prefixLength && body[0] === 0 && body.readUInt32BE(1) === body.length - prefixLength;
  if (!isOne) return undefined;
  try {
    return fromBinary(descriptor.input, body.subarray(prefixLength));
  } catch {
    return undefined;
  }
}

function prefixed({ flags, data }: { readonly flags: number; readonly data: Uint8Array }): Buffer {
  const bytes = Buffer.allocUnsafe(prefixLength + data.length);
  bytes.writeUInt8(flags);
  bytes.writeUInt32BE(data.length, 1);
  bytes.set(data, prefixLength);
  return bytes;
}

/**
 * Connect escapes more of a `grpc-message` than gRPC asks for, commas and colons too, and `@grpc/grpc-js` does not read
 * those back: it would show `%2C` to people.
 */
export function makeMessageReadable(trailer: Headers): void {
  const message = trailer.get('grpc-message');
  if (message !== null) trailer.set('grpc-message', encodeURI(decodeURIComponent(message)));
}
