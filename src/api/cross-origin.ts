import type { FastifyCorsOptions } from '@fastify/cors';

/**
 * Any origin may call: what a caller may do depends on the token that it sends, and browsers send none by themselves.
 * The allowed headers are ZITADEL's, with those of the protocols that pages use.
 */
export const corsOptions: FastifyCorsOptions = {
  origin: '*',
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
  exposedHeaders: [
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
  ],
  maxAge: 600,
};
