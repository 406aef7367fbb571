import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { onTestFinished } from 'vitest';
import type { CloudEvent } from '../../src/subscriptions/cloud-event.ts';

export interface Received {
  readonly event: CloudEvent;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Answer = (event: CloudEvent, response: ServerResponse, request: IncomingMessage) => void;

/** A target of webhooks: keeps what it took, and answers as it is told. */
export async function webhookReceiver(port = 0) {
  const received: Received[] = [];
  const refused: Received[] = [];
  let answer: Answer = (_event, response) => response.writeHead(204).end();
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const delivery = {
      event: JSON.parse(body) as CloudEvent,
      headers: request.headers as Record<string, string>,
      body,
    };
    response.once('finish', () => {
      (response.statusCode < 300 ? received : refused).push(delivery);
    });
    answer(delivery.event, response, request);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  onTestFinished(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    port: (server.address() as AddressInfo).port,
    received,
    refused,
    close,
    answerWith(next: Answer): void {
      answer = next;
    },
    versions: (userId: string) =>
      received
        .filter(({ event }) => event.subject === `machineUser-${userId}`)
        .map(({ event }) => Number(event.streamversion)),
  };
}

/** Throws unless the signature is that of the secret, by the library of the standard. */
export function verifySignature(signingSecret: string, { body, headers }: Received): void {
  new Webhook(signingSecret).verify(body, headers as Record<string, string>);
}
