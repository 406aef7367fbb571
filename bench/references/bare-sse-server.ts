import { once } from 'node:events';
import fastify from 'fastify';

/**
 * What a server-sent event route costs without all else: a Fastify route that writes objects in memory as JSON, each in
 * a write of its own, and waits while the reader is behind. Prints its URL, and serves until it is killed.
 */
const count = Number(process.argv[2]);
const events = Array.from({ length: count }, (_, index) => ({
  specversion: '1.0',
  id: crypto.randomUUID(),
  source: 'http://localhost:8080',
  type: 'keyturn.v1.MachineSecretSet',
  subject: 'machineUser-bench',
  time: new Date().toISOString(),
  datacontenttype: 'application/json',
  position: String(index + 2),
  streamversion: String(index + 2),
  organizationid: 'bench',
  authtype: 'system',
  correlationid: 'bench',
  causationid: 'bench',
  data: { userId: 'bench', secretId: crypto.randomUUID(), replacedSecretIds: [crypto.randomUUID()] },
}));

const app = fastify();
app.get('/events', async (_request, reply) => {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  raw.write('retry: 1000\nid: 0\n\n');
  const closed = new AbortController();
  raw.once('close', () => closed.abort());
  for (const event of events) {
    if (closed.signal.aborted) return;
    const isTaken = raw.write(`id: ${event.position}\ndata: ${JSON.stringify(event)}\n\n`);
    if (!isTaken) await once(raw, 'drain', { signal: closed.signal }).catch(() => {});
  }
});
process.stdout.write(`${await app.listen({ port: 0, host: '127.0.0.1' })}\n`);
