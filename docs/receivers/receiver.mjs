// Takes Keyturn's webhooks. Run it: KEYTURN_WEBHOOK_SECRET=whsec_… node receiver.mjs
// Needs: npm install standardwebhooks
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

const webhook = new Webhook(process.env.KEYTURN_WEBHOOK_SECRET);
// At least once means: sometimes twice. A real receiver keeps these in its database, with what it did.
const seen = new Set();

const server = createServer(async (request, response) => {
  const body = await text(request);
  let event;
  try {
    event = webhook.verify(body, request.headers);
  } catch {
    response.writeHead(401).end();
    return;
  }
  // Answer first, work later: Keyturn waits 15 seconds.
  response.writeHead(204).end();
  if (seen.has(event.id)) return;
  seen.add(event.id);
  if (event.type === 'keyturn.v1.MachineSecretSet') {
    process.stdout.write(`secret ${event.data.secretId} of user ${event.data.userId} was set\n`);
  } else {
    process.stdout.write(`${event.type}\n`);
  }
});
server.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', () => {
  process.stdout.write(`listening on ${server.address().port}\n`);
});
