import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  GenerateMachineSecretRequestSchema,
  ManagementService,
} from '@zitadel/proto/zitadel/management_pb.js';
import { Latencies } from './latencies.ts';
import type { GrpcLoad, LoadResult } from './load.ts';
import { answering } from './processes.ts';

/** In bytes, before a message. */
const prefixLength = 5;

/**
 * The process that makes a {@link GrpcLoad}. Calls are written as gRPC has them, without a client of gRPC: `@grpc/grpc-js` takes more than
 * twice as much of the cores that the load shares with what is measured.
 */
answering(async (load: GrpcLoad & { readonly url: string }): Promise<LoadResult> => {
  const { url, token, userIds, inFlight, seconds } = load;
  const session = connect(url);
  const headers = {
    ':method': 'POST',
    ':path': `/${ManagementService.typeName}/${ManagementService.method.generateMachineSecret.name}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: `Bearer ${token}`,
  };
  const messages = userIds.map(messageOf);
  const latencies = new Latencies();
  const before = process.cpuUsage();
  const begin = performance.now();

  /** One call after the other, one at least. No two lanes have the same user at the same time, as far as there are enough. */
  const setSecretsInTurn = async (_: unknown, lane: number): Promise<number> => {
    let count = 0;
    for (let index = lane; count === 0 || performance.now() - begin < seconds * 1000; index += inFlight) {
      const sent = performance.now();
      await call(session, headers, messages[index % messages.length] ?? Buffer.alloc(0));
      latencies.record(performance.now() - sent);
      count++;
    }
    return count;
  };

  const counts = await Promise.all(Array.from({ length: inFlight }, setSecretsInTurn));
  const took = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(before);
  session.close();
  const count = counts.reduce((sum, one) => sum + one, 0);
  return {
    rate: count / took,
    count,
    latency: latencies.quantiles(),
    loadShare: (user + system) / 1e6 / took,
  };
});

/** With its prefix: not compressed, and how long it is. */
function messageOf(userId: string): Buffer {
  const message = toBinary(
    GenerateMachineSecretRequestSchema,
    create(GenerateMachineSecretRequestSchema, { userId }),
  );
  const prefix = Buffer.alloc(prefixLength);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** @throws Error the call has failed, or was answered with no message */
function call(session: ClientHttp2Session, headers: OutgoingHttpHeaders, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    let status: unknown;
    const isAnswered = () => status === '0' && received > prefixLength;
    session
      .request(headers)
      .on('data', (chunk: Buffer) => {
        received += chunk.length;
      })
      .on('trailers', (trailers) => {
        status = trailers['grpc-status'];
      })
      .on('end', () => {
        if (isAnswered()) resolve();
      })
      .on('close', () => {
        if (!isAnswered()) reject(new Error(`the call came to status ${status} and ${received} bytes`));
      })
      .on('error', reject)
      .end(message);
  });
}
