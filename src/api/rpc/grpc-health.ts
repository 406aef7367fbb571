import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect';
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '#generated/health/v1/health_pb.js';
import type { ServedService } from './served-method.ts';

export interface HealthOptions {
  readonly services: readonly Pick<ServedService, 'descriptor'>[];
  readonly isReady: () => boolean;
  /** Ends all watches. */
  readonly closing: AbortSignal;
}

/** In milliseconds: how often a watched status is looked at. */
const watchInterval = 1000;

/** grpc.health.v1.Health: the empty name stands for the whole server, each service has the same status. */
export function healthService(router: ConnectRouter, { services, isReady, closing }: HealthOptions): void {
  const names = ['', ...services.map(({ descriptor }) => descriptor.typeName)];
  const statusNow = () => (isReady() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);

  router.service(Health, {
    async check({ service }) {
      if (!names.includes(service)) throw new ConnectError(`unknown service ${service}`, Code.NotFound);
      return { status: statusNow() };
    },
    async list() {
      const status = statusNow();
      return { statuses: Object.fromEntries(names.map((name) => [name, { status }])) };
    },
    /** Gives the status at once and at every change, until the caller goes away. */
    async *watch({ service }, context) {
      const signal = AbortSignal.any([context.signal, closing]);
      const status = () => (names.includes(service) ? statusNow() : ServingStatus.SERVICE_UNKNOWN);
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        if (told !== status()) {
          told = status();
          yield { status: told };
        }
        await nextLook(signal);
      }
    },
  });
}

function nextLook(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, watchInterval);
  const stop = () => resolve();
  signal.addEventListener('abort', stop, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  });
}
