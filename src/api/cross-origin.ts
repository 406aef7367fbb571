import cors, { type FastifyCorsOptions } from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** Any: what a caller may do depends on the token that it sends, and browsers send none by themselves. */
const origin = '*';

const exposedHeaders = [
  'grpc-status',
  'grpc-message',
  'grpc-status-details-bin',
  'etag',
  'location',
  'retry-after',
  'dpop-nonce',
  'www-authenticate',
  'x-keyturn-position',
  'x-request-id',
];

/** Of every answer: the same for all, so that they are not put together for each. */
export const crossOriginHeaders = {
  'access-control-allow-origin': origin,
  'access-control-expose-headers': exposedHeaders.join(', '),
} as const;

/** The allowed headers are ZITADEL's, with those of the protocols that pages use. */
const corsOptions: FastifyCorsOptions = {
  origin,
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowedHeaders: [
    'origin',
    'content-type',
    'accept',
    'accept-language',
    'authorization',
    'if-match',
    'x-zitadel-orgid',
    'x-keyturn-position',
    'x-keyturn-end-tokens',
    'last-event-id',
    'dpop',
    'x-user-agent',
    'x-grpc-web',
    'grpc-timeout',
    'connect-protocol-version',
    'connect-timeout-ms',
  ],
  exposedHeaders,
  maxAge: 600,
};

/** Answers what browsers ask before a request, on every path. */
export async function preflights(app: FastifyInstance): Promise<void> {
  await app.register(cors, corsOptions);
}
