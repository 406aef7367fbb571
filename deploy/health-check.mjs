// Ends with status 0 when the Keyturn in this container is alive. It is told where by the settings of the service.
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';

const { KEYTURN_HOST = '127.0.0.1', KEYTURN_PORT = '8080', KEYTURN_TLS_CERT } = process.env;
const hostname = { '0.0.0.0': '127.0.0.1', '::': '::1' }[KEYTURN_HOST] ?? KEYTURN_HOST;
const get = KEYTURN_TLS_CERT === undefined ? httpGet : httpsGet;

// The certificate is for the name that clients use, and this connection does not leave the container.
get({ hostname, port: KEYTURN_PORT, path: '/debug/healthz', rejectUnauthorized: false }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
}).on('error', () => process.exit(1));
