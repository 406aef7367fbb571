import type { Run } from '../harness/comparison.ts';
import { changeRequests, setSecretRequests, startKeyturn } from '../harness/keyturn.ts';
import { load } from '../harness/load.ts';
import { runScript } from '../harness/processes.ts';
import { comparedRow, type Row } from '../harness/row.ts';
import { connections, inTurns, type Scale, type Section } from '../harness/section.ts';

/** At cost 10 each takes long: fewer of them. */
const slowRounds = 3;

/** Setting secrets, beside nothing but their hashes. */
export const setSecret: Section = {
  name: 'PUT secret',
  async measure(scale) {
    const slow = { seconds: 0, inFlight: scale.slowHashes, until: { amount: scale.slowHashes } };
    return [
      ...(await atCost(4, scale, {
        atLeast: 0.75,
        inFlight: connections,
        until: { seconds: scale.seconds },
      })),
      // Each is sent once and waited for: what is cut off at the end would count for nothing.
      ...(await atCost(
        10,
        { ...scale, rounds: Math.min(scale.rounds, slowRounds) },
        { atLeast: 0.95, ...slow },
      )),
    ];
  },
};

interface Load {
  readonly atLeast: number;
  readonly inFlight: number;
  readonly until: { readonly seconds: number } | { readonly amount: number };
}

async function atCost(cost: number, scale: Scale, { atLeast, inFlight, until }: Load): Promise<Row[]> {
  const seed = { name: 'robot', users: 1000, known: 1000, accessTokenType: 'jwt', eventsEach: 2 } as const;
  const keyturn = await startKeyturn({ seeds: [seed], settings: ['--bcrypt-cost', String(cost)] });
  try {
    const { token, clients } = keyturn;
    const users = clients['robot'] ?? [];
    const userIds = users.map(({ userId }) => userId);
    const requests = setSecretRequests(keyturn, users);
    const seconds = 'seconds' in until ? until.seconds : 0;
    // So few secrets are set at cost 10 that V8 would compile next to nothing of what is around a hash.
    await load(keyturn, 'closed-load', {
      connections,
      requests: changeRequests(keyturn, users, scale.changes),
      until: { amount: scale.changes },
    });
    const runs = await inTurns(scale, {
      rest: () => load(keyturn, 'closed-load', { connections: inFlight, requests, until }),
      grpc: () => load(keyturn, 'grpc-load', { inFlight, token, userIds, seconds }),
      bcrypt: () => runScript<Run>('references/bare-bcrypt.ts', [cost, seconds, inFlight]),
    });
    const about = `bcrypt cost ${cost}, durable, ${inFlight} in flight`;
    const reference = 'bare bcrypt on all cores';
    return [
      comparedRow({ what: `PUT secret, REST, ${about}`, reference, atLeast }, runs.rest, runs.bcrypt),
      comparedRow({ what: `PUT secret, gRPC, ${about}`, reference, atLeast }, runs.grpc, runs.bcrypt),
    ];
  } finally {
    await keyturn.stop();
  }
}
