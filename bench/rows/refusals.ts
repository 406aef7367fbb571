import { setTimeout as delay } from 'node:timers/promises';
import { newSecretRandom } from '../../src/application/random-ids.ts';
import { composeSecret, secretIdOf } from '../../src/domain/machine-secret.ts';
import { comparisonOf, type Run } from '../harness/comparison.ts';
import { formRequest, grantOf, grantRequests, startKeyturn } from '../harness/keyturn.ts';
import { type ClosedLoad, type HttpRequest, load } from '../harness/load.ts';
import { comparedRow, type Row } from '../harness/row.ts';
import { count, inTurns, type Section } from '../harness/section.ts';
import type { Client } from '../harness/seed.ts';

const goodConnections = 32;
const wrongConnections = 32;
/** In seconds: the attack begins before the good clients are measured, and ends after. */
const margin = 0.5;

/** Good clients while others try wrong secrets as fast as they are answered. */
export const refusals: Section = {
  name: 'refusals',
  async measure(scale) {
    const seed = { name: 'robot', users: 2000, known: 2000, accessTokenType: 'jwt', eventsEach: 2 } as const;
    const keyturn = await startKeyturn({ seeds: [seed], settings: ['--trusted-proxies', '127.0.0.1'] });
    try {
      const clients = keyturn.clients['robot'] ?? [];
      const { seconds } = scale;
      const good: ClosedLoad = {
        connections: goodConnections,
        requests: grantRequests(clients.slice(0, 1000)),
        until: { seconds },
      };
      const attack: ClosedLoad = {
        connections: wrongConnections,
        requests: wrongRequests(clients.slice(1000)),
        until: { seconds: seconds + 2 * margin },
        isToBeRefused: true,
      };
      await load(keyturn, 'closed-load', { ...good, until: { amount: 1000 } });
      let refused = 0;
      const underAttack = async (): Promise<Run> => {
        const attacking = load(keyturn, 'closed-load', attack, 'attack');
        await delay(margin * 1000);
        const run = await load(keyturn, 'closed-load', good);
        refused = (await attacking).rate;
        return run;
      };
      const runs = await inTurns(scale, {
        alone: () => load(keyturn, 'closed-load', good),
        underAttack,
      });
      const what = `good clients while ${count(Math.round(refused))} wrong secrets a second are refused`;
      const reference = 'good clients alone';
      const { ratioByCpuTime: _, ...row } = comparedRow(
        { what, reference, atLeast: 0.8 },
        runs.underAttack,
        runs.alone,
      );
      return [row, slowestRow(`${what}, p99`, reference, runs.underAttack, runs.alone)];
    } finally {
      await keyturn.stop();
    }
  },
};

function slowestRow(what: string, reference: string, attacked: readonly Run[], alone: readonly Run[]): Row {
  const p99 = ({ latency }: Run): Run => ({ rate: latency?.p99 ?? Number.NaN });
  const compared = comparisonOf(attacked.map(p99), alone.map(p99));
  return {
    what,
    unit: ' ms',
    ...compared,
    reference: { ...compared.reference, name: reference },
    budget: { of: 'ratio', below: 3, isMet: compared.ratio.median < 3 },
  };
}

/** Half have the id of a live secret, which costs a hash; half are of nobody. Each comes from another address. */
function wrongRequests(clients: readonly Client[]): HttpRequest[] {
  return Array.from({ length: 20_000 }, (_, index) => {
    const { clientId, clientSecret } = clients[index % clients.length] as Client;
    const secretId = (index % 2 === 0 && secretIdOf(clientSecret)) || '0123456789abcdef';
    const wrong = { clientId, clientSecret: composeSecret(secretId, newSecretRandom()) };
    const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
    return formRequest('/oauth/v2/token', grantOf(wrong, 'profile'), { 'x-forwarded-for': address });
  });
}
