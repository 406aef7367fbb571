import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import {
  GenerateMachineSecretRequestSchema,
  GenerateMachineSecretResponseSchema,
  ManagementService,
} from '@zitadel/proto/zitadel/management_pb.js';
import { Latencies } from './latencies.ts';
import type { GrpcLoad, LoadResult } from './load.ts';
import { answering } from './processes.ts';

const path = `/${ManagementService.typeName}/${ManagementService.method.generateMachineSecret.name}`;

/** The process that makes a {@link GrpcLoad}. */
answering(async (load: GrpcLoad & { readonly url: string }): Promise<LoadResult> => {
  const { url, token, userIds, inFlight, seconds } = load;
  const client = new Client(new URL(url).host, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const latencies = new Latencies();
  const before = process.cpuUsage();
  const begin = performance.now();

  /** One call after the other, one at least. No two lanes have the same user at the same time, as far as there are enough. */
  const setSecretsInTurn = async (_: unknown, lane: number): Promise<number> => {
    let count = 0;
    for (let index = lane; count === 0 || performance.now() - begin < seconds * 1000; index += inFlight) {
      const sent = performance.now();
      await setSecret(client, metadata, userIds[index % userIds.length] ?? '');
      latencies.record(performance.now() - sent);
      count++;
    }
    return count;
  };

  const counts = await Promise.all(Array.from({ length: inFlight }, setSecretsInTurn));
  const took = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(before);
  client.close();
  const count = counts.reduce((sum, one) => sum + one, 0);
  return {
    rate: count / took,
    count,
    latency: latencies.quantiles(),
    loadShare: (user + system) / 1e6 / took,
  };
});

function setSecret(client: Client, metadata: Metadata, userId: string): Promise<void> {
  const request = create(GenerateMachineSecretRequestSchema, { userId });
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      () => Buffer.from(toBinary(GenerateMachineSecretRequestSchema, request)),
      (bytes: Buffer) => fromBinary(GenerateMachineSecretResponseSchema, bytes),
      undefined,
      metadata,
      (error) => (error === null ? resolve() : reject(error)),
    );
  });
}
