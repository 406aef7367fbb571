import { comparedRow, type Row } from '../harness/row.ts';
import { count, inTurns, type Section } from '../harness/section.ts';
import { startEventStreams } from '../subscriptions.ts';

const reference = 'bare SSE route';

/** Readers of server-sent events that begin at the begin of the log. */
export const subscriptions: Section = {
  name: 'subscriptions',
  async measure(scale) {
    const { streamedEvents } = scale;
    const streams = await startEventStreams(streamedEvents);
    try {
      const rows: Row[] = [];
      // Each of many reads less, so that it takes as long.
      for (const [readers, eventsEach] of [
        [1, streamedEvents],
        [100, streamedEvents / 50],
      ] as const) {
        const runs = await inTurns(scale, {
          keyturn: streams.keyturn(readers, eventsEach),
          bareRoute: streams.bareRoute(readers, eventsEach),
        });
        const to = readers === 1 ? 'one reader' : `${readers} readers`;
        const what = `subscriptions, events to ${to}, ${count(eventsEach)} each`;
        rows.push(comparedRow({ what, reference, atLeast: 0.5 }, runs.keyturn, runs.bareRoute));
      }
      return rows;
    } finally {
      await streams.stop();
    }
  },
};
