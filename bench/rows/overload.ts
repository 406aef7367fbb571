import type { Run } from '../harness/comparison.ts';
import { setSecretRequests, startKeyturn } from '../harness/keyturn.ts';
import { load } from '../harness/load.ts';
import { comparedRow } from '../harness/row.ts';
import { inTurns, type Section } from '../harness/section.ts';

/** More than are needed to keep all cores at work. */
const connections = 128;
/** In milliseconds: an answer that comes later is of no use. */
const deadline = 1000;

/** Twice as many requests a second as can be answered, from clients that do not wait for each other. */
export const overload: Section = {
  name: 'overload',
  async measure(scale) {
    const seed = { name: 'robot', users: 1000, known: 1000, accessTokenType: 'jwt', eventsEach: 2 } as const;
    const keyturn = await startKeyturn({ seeds: [seed] });
    try {
      const requests = setSecretRequests(keyturn, keyturn.clients['robot'] ?? []);
      let capacity = 0;
      const peak = async (): Promise<Run> => {
        const until = { seconds: scale.seconds };
        const run = await load(keyturn, 'closed-load', { connections, requests, until });
        capacity = run.rate;
        return run;
      };
      const twice = () =>
        load(keyturn, 'steady-load', {
          requests,
          rate: 2 * capacity,
          seconds: scale.overloadSeconds,
          deadline,
        });
      const runs = await inTurns(scale, { peak, twice });
      const what = `goodput at twice the capacity, PUT secret, answered within ${deadline / 1000} s`;
      return [
        comparedRow(
          { what, reference: `peak, ${connections} in flight`, atLeast: 0.9 },
          runs.twice,
          runs.peak,
        ),
      ];
    } finally {
      await keyturn.stop();
    }
  },
};
