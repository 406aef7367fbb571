import { setTimeout as delay } from 'node:timers/promises';
import { HttpConnections, noAnswer, textOf } from './http-connections.ts';
import { Latencies } from './latencies.ts';
import type { LoadResult, SteadyLoad } from './load.ts';
import { answering } from './processes.ts';

/** The process that makes a {@link SteadyLoad}. */
answering(async (load: SteadyLoad & { readonly url: string }): Promise<LoadResult> => {
  const { url, requests, rate, seconds, deadline } = load;
  // As many as can be under way in the time that an answer may take: what has to wait for a connection is late anyway.
  const connections = new HttpConnections(url, Math.ceil((rate * deadline) / 1000));
  const texts = requests.map((request) => textOf(request, new URL(url).host));
  const latencies = new Latencies();
  const sending: Promise<void>[] = [];
  let count = 0;

  /** @param due when it was to be sent: a load that is late must not make the server look fast */
  const send = async (text: string, due: number): Promise<void> => {
    const statusCode = await connections.ask(text);
    if (statusCode === noAnswer || statusCode === 503) return;
    if (statusCode !== 200) throw new Error(`${url} answered with ${statusCode}`);
    const latency = performance.now() - due;
    latencies.record(latency);
    if (latency <= deadline) count++;
  };

  const before = process.cpuUsage();
  const begin = performance.now();
  while (performance.now() - begin < seconds * 1000) {
    const due = ((performance.now() - begin) / 1000) * rate;
    while (sending.length < due) {
      const text = texts[sending.length % texts.length] as string;
      sending.push(send(text, begin + (sending.length / rate) * 1000));
    }
    await delay(1);
  }
  const took = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(before);
  await Promise.all(sending);
  connections.close();
  return {
    rate: count / took,
    count,
    latency: latencies.quantiles(),
    loadShare: (user + system) / 1e6 / took,
  };
});
