import { formRequest, introspectionRequests, startKeyturn } from '../harness/keyturn.ts';
import { load, repeatedLoad } from '../harness/load.ts';
import { startServer } from '../harness/processes.ts';
import { comparedRow } from '../harness/row.ts';
import { connections, inTurns, type Section } from '../harness/section.ts';

export const introspection: Section = {
  name: 'introspection',
  async measure(scale) {
    const until = { seconds: scale.seconds };
    const kinds = { jwt: 'a JWT', bearer: 'an opaque token' } as const;
    const seeds = (['jwt', 'bearer'] as const).map((accessTokenType) => ({
      ...{ name: accessTokenType, users: 200, known: 200, accessTokenType, eventsEach: 2 },
    }));
    const keyturn = await startKeyturn({ seeds });
    const bareFastify = await startServer('references/bare-fastify-server.ts', [], /^(http\S+)$/m);
    try {
      const response = await fetch(`${bareFastify.url}/token`, { method: 'POST' });
      const { access_token: token } = (await response.json()) as { access_token: string };
      const elsewhere = [formRequest('/introspect', { token })];
      const requestsOf = async (kind: keyof typeof kinds) => {
        const requests = await introspectionRequests(keyturn.url, keyturn.clients[kind] ?? []);
        // The clients authenticate themselves: a secret's first use pays for bcrypt.
        await load(keyturn, 'closed-load', { connections, requests, until: { amount: requests.length * 2 } });
        return requests;
      };
      const requests = { jwt: await requestsOf('jwt'), bearer: await requestsOf('bearer') };
      const runs = await inTurns(scale, {
        jwt: repeatedLoad(keyturn, { connections, requests: requests.jwt, until }),
        bearer: repeatedLoad(keyturn, { connections, requests: requests.bearer, until }),
        bareFastify: repeatedLoad(bareFastify, { connections, requests: elsewhere, until }),
      });
      const reference = 'bare Fastify route that verifies a JWT';
      return (['jwt', 'bearer'] as const).map((kind) =>
        comparedRow(
          { what: `introspection of ${kinds[kind]}`, reference, atLeast: 0.6 },
          runs[kind],
          runs.bareFastify,
        ),
      );
    } finally {
      await Promise.all([keyturn, bareFastify].map((server) => server.stop()));
    }
  },
};
