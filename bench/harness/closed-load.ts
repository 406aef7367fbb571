import { HttpConnections, textOf } from './http-connections.ts';
import { Latencies } from './latencies.ts';
import type { ClosedLoad, LoadResult } from './load.ts';
import { answering } from './processes.ts';

/** The process that makes a {@link ClosedLoad}. What was sent is waited for, as the references finish what they have begun. */
answering(async (load: ClosedLoad & { readonly url: string }): Promise<LoadResult> => {
  const { url, requests, connections, until, isToBeRefused = false } = load;
  const texts = requests.map((request) => textOf(request, new URL(url).host));
  const http = new HttpConnections(url, connections);
  const latencies = new Latencies();
  const before = process.cpuUsage();
  const begin = performance.now();

  /** One request after the other, of those that no other lane has, as far as there are enough. */
  const askInTurn = async (_: unknown, lane: number): Promise<number> => {
    const own = texts.length < connections ? texts : partOf(texts, lane, connections);
    const isOver = endOf(until, lane, connections, begin);
    let count = 0;
    for (; !isOver(count); count++) {
      const sent = performance.now();
      const statusCode = await http.ask(own[count % own.length] ?? '');
      const isRefused = statusCode >= 400 && statusCode < 500;
      if (isToBeRefused ? !isRefused : statusCode !== 200)
        throw new Error(`${url} answered with ${statusCode}`);
      latencies.record(performance.now() - sent);
    }
    return count;
  };

  const counts = await Promise.all(Array.from({ length: connections }, askInTurn));
  const took = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(before);
  http.close();
  const count = counts.reduce((sum, one) => sum + one, 0);
  return {
    rate: count / took,
    count,
    latency: latencies.quantiles(),
    loadShare: (user + system) / 1e6 / took,
  };
});

/** Whether a lane that has been answered so often asks no more. For a time each asks once at least; an amount is shared by all lanes. */
function endOf(
  until: ClosedLoad['until'],
  lane: number,
  lanes: number,
  begin: number,
): (answered: number) => boolean {
  if ('seconds' in until) {
    return (answered) => answered > 0 && performance.now() - begin >= until.seconds * 1000;
  }
  const share = placeOf(lane + 1, lanes, until.amount) - placeOf(lane, lanes, until.amount);
  return (answered) => answered >= share;
}

function partOf<Item>(items: readonly Item[], part: number, parts: number): readonly Item[] {
  return items.slice(placeOf(part, parts, items.length), placeOf(part + 1, parts, items.length));
}

function placeOf(part: number, parts: number, length: number): number {
  return Math.floor((part * length) / parts);
}
