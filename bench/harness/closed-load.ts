import autocannon from 'autocannon';
import type { ClosedLoad, HttpRequest, LoadResult } from './load.ts';
import { answering } from './processes.ts';
import { readWholeAnswers } from './whole-answers.ts';

/** In milliseconds: the load ends when it is next looked whether it is to. */
const endCheckInterval = 10;

/** In seconds: how long an answer is waited for. */
const patience = 60;
const longestFactor = 64;

/** The process that makes a {@link ClosedLoad}. */
answering(async (load: ClosedLoad & { readonly url: string }): Promise<LoadResult> => {
  let result = await run(load);
  // A short load on a machine with much else to do may end before the first answer.
  for (let factor = 2; result.count === 0 && factor <= longestFactor; factor *= 2) {
    const { until } = load;
    result = await run('amount' in until ? load : { ...load, until: { seconds: until.seconds * factor } });
  }
  return result;
});

async function run(load: ClosedLoad & { readonly url: string }): Promise<LoadResult> {
  const { url, connections, until, isToBeRefused = false } = load;
  let connection = 0;
  const before = process.cpuUsage();
  const result = await autocannon({
    url,
    connections,
    sampleInt: endCheckInterval,
    timeout: patience,
    ...('amount' in until ? { amount: until.amount } : { duration: until.seconds }),
    setupClient: (client) => {
      client.setRequests(shareOf(load, connection++) as autocannon.Request[]);
      readWholeAnswers(client);
    },
  });
  const { user, system } = process.cpuUsage(before);
  const { duration, latency, statusCodeStats, errors } = result;
  const count = isToBeRefused ? result['4xx'] : result['2xx'];
  if (result['2xx'] + result.non2xx + errors > count) {
    throw new Error(`${url} answered with ${JSON.stringify(statusCodeStats)}, and ${errors} requests failed`);
  }
  return {
    rate: count / duration,
    count,
    latency: { p50: latency.p50, p90: latency.p90, p99: latency.p99, p99_9: latency.p99_9 },
    loadShare: (user + system) / 1e6 / duration,
  };
}

/** Each connection asks for others, so that no two ask for the same at the same time, as far as there are enough. */
function shareOf({ requests, connections }: ClosedLoad, index: number): readonly HttpRequest[] {
  if (requests.length < connections) return requests;
  const place = (one: number) => Math.floor((one * requests.length) / connections);
  return requests.slice(place(index), place(index + 1));
}
