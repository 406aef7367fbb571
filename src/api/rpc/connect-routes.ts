import type { FastifyInstance } from 'fastify';
import { loadedWhenUsed } from '../loaded-when-used.ts';
import type { ConnectCallsOptions } from './connect-calls.ts';

export type ConnectRoutesOptions = Omit<ConnectCallsOptions, 'closing' | 'stopping'>;

/** In milliseconds: how long streams of messages go on when the server stops. */
const shutdownPatience = 5000;

/** gRPC's own, for health and reflection. */
const servicesOfGrpc = [
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
];

/**
 * Serves services over gRPC, gRPC-web and Connect. Methods that are not implemented answer so, by name. With gRPC's
 * own services for health and reflection.
 */
export async function connectRoutes(app: FastifyInstance, options: ConnectRoutesOptions): Promise<void> {
  const closing = new AbortController();
  const stopping = new AbortController();
  app.addHook('preClose', async () => {
    closing.abort();
    setTimeout(() => stopping.abort(), shutdownPatience).unref();
  });
  // What is sent is read by Connect, not by Fastify.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));

  // Loaded for the first call: it is a tenth of the files that a start would load.
  const calls = loadedWhenUsed(async () => {
    const { connectCalls } = await import('./connect-calls.ts');
    return connectCalls({ ...options, closing: closing.signal, stopping: stopping.signal });
  });
  // A route for each service, not for each of its methods: those are hundreds, and most are not implemented.
  const names = options.services.map(({ descriptor }) => descriptor.typeName);
  for (const service of [...names, ...servicesOfGrpc]) {
    app.post(`/${service}/:method`, async (request, reply) => (await calls())(service, request, reply));
  }
}
