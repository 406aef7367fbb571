import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A proxy before an event stream that cuts every connection after a while, and asks to be connected to at once again. */
export async function cuttingProxy(target: string, bytesUntilCut: () => number) {
  const { port } = new URL(target);
  let cuts = 0;
  const server = createServer((client: Socket) => {
    const upstream = connect(Number(port), '127.0.0.1');
    const limit = bytesUntilCut();
    let passed = 0;
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      const text = Buffer.from(chunk.toString('latin1').replace('retry: 1000', 'retry: 0001'), 'latin1');
      client.write(text.subarray(0, Math.max(0, limit - passed)));
      passed += text.length;
      if (passed < limit) return;
      cuts++;
      client.destroySoon();
      upstream.destroy();
    });
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroySoon());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cuts: () => cuts };
}
