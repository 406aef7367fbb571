import { Presets, SingleBar } from 'cli-progress';

/** Work shorter than this, in milliseconds, shows no bar. */
const patience = 500;

/** Shows on standard error, where that is a terminal, how many events are done: count, rate and time left. */
export function eventProgress(title: string, unit = 'events') {
  const bar = new SingleBar(
    {
      format: `${title} {bar} {percentage} % | {value} of {total} ${unit} | {rate} a second | {eta_formatted} left`,
      hideCursor: true,
      clearOnComplete: true,
    },
    Presets.shades_classic,
  );
  const startedAt = performance.now();
  let first: number | undefined;

  return {
    update(done: number, total: number): void {
      first ??= done;
      const elapsed = performance.now() - startedAt;
      const rate = Math.round(((done - first) / elapsed) * 1000).toLocaleString('en');
      if (bar.isActive) bar.update(done, { rate });
      else if (process.stderr.isTTY && elapsed > patience) bar.start(total, done, { rate });
    },
    stop(): void {
      bar.stop();
    },
  };
}
