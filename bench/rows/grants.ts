import type { Run } from '../harness/comparison.ts';
import { formRequest, grantOf, grantRequests, startKeyturn } from '../harness/keyturn.ts';
import { load, repeatedLoad } from '../harness/load.ts';
import { runScript, startServer } from '../harness/processes.ts';
import { comparedRow } from '../harness/row.ts';
import { connections, count, inTurns, type Section } from '../harness/section.ts';

/** Client credentials grants with secrets that were used before. */
export const grants: Section = {
  name: 'grants',
  async measure(scale) {
    const until = { seconds: scale.seconds };
    const users = scale.clients;
    const seed = { name: 'robot', users, known: users, accessTokenType: 'jwt', eventsEach: 2 } as const;
    const keyturn = await startKeyturn({ seeds: [seed] });
    const oidcProvider = await startServer(
      'references/oidc-provider-server.ts',
      [String(users)],
      /^(http\S+)$/m,
    );
    const bareFastify = await startServer('references/bare-fastify-server.ts', [], /^(http\S+)$/m);
    try {
      const requests = grantRequests(keyturn.clients['robot'] ?? []);
      const elsewhere = Array.from({ length: users }, (_, index) =>
        formRequest(
          '/token',
          grantOf({ clientId: `robot-${index}`, clientSecret: `secret-of-robot-${index}` }, 'profile'),
        ),
      );
      // A secret's first use pays for bcrypt, which has its own row.
      await load(keyturn, 'closed-load', { connections, requests, until: { amount: users } });
      const runs = await inTurns(scale, {
        keyturn: repeatedLoad(keyturn, { connections, requests, until }),
        oidcProvider: repeatedLoad(oidcProvider, { connections, requests: elsewhere, until }),
        bareFastify: repeatedLoad(bareFastify, { connections, requests: elsewhere, until }),
      });
      const what = `client credentials grant, JWT ES256, ${count(users)} users`;
      return [
        comparedRow(
          { what, reference: 'oidc-provider, clear secrets in memory', atLeast: 3 },
          runs.keyturn,
          runs.oidcProvider,
        ),
        comparedRow(
          {
            what: 'the same grant, beside the floor',
            reference: 'bare Fastify route that signs the same JWT',
            atLeast: 0.6,
          },
          runs.keyturn,
          runs.bareFastify,
        ),
      ];
    } finally {
      await Promise.all([keyturn, oidcProvider, bareFastify].map((server) => server.stop()));
    }
  },
};

/** Grants to clients whose secrets this process has not seen before. */
export const firstUse: Section = {
  name: 'first use',
  async measure(scale) {
    const { firstUses, rounds, warmUpRounds, seconds } = scale;
    const users = firstUses * (rounds + warmUpRounds);
    const seed = { name: 'robot', users, known: users, accessTokenType: 'jwt', eventsEach: 2 } as const;
    const keyturn = await startKeyturn({ seeds: [seed] });
    try {
      const requests = grantRequests(keyturn.clients['robot'] ?? []);
      const inRound = () => ({
        connections,
        requests: requests.splice(0, firstUses),
        until: { amount: firstUses },
      });
      const runs = await inTurns(scale, {
        keyturn: () => load(keyturn, 'closed-load', inRound()),
        bcrypt: () => runScript<Run>('references/bare-bcrypt-verify.ts', [4, seconds]),
      });
      const what = 'first use of a secret (bcrypt cost 4 is paid, the use recorded)';
      const reference = 'bare bcrypt verify on all cores';
      return [comparedRow({ what, reference, atLeast: 0.75 }, runs.keyturn, runs.bcrypt)];
    } finally {
      await keyturn.stop();
    }
  },
};
