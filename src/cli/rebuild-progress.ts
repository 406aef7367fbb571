import { Presets, SingleBar } from 'cli-progress';

/** A rebuild shorter than this, in milliseconds, shows no bar. */
const patience = 500;

/** Shows on standard error how far the read model has been built, when that takes a while. */
export function rebuildProgress() {
  const bar = new SingleBar(
    { format: 'building the read model {bar} {percentage} % | {value} of {total} | {eta_formatted} left' },
    Presets.shades_classic,
  );
  const startedAt = performance.now();
  let firstPosition: bigint | undefined;

  return {
    update({ position, head }: { readonly position: bigint; readonly head: bigint }): void {
      firstPosition ??= position;
      if (bar.isActive) bar.update(Number(position - firstPosition));
      else if (performance.now() - startedAt > patience && position < head) {
        bar.start(Number(head - firstPosition), Number(position - firstPosition));
      }
    },
    stop(): void {
      bar.stop();
    },
  };
}
