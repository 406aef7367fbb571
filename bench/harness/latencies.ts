import { createHistogram } from 'node:perf_hooks';
import type { Latency } from './comparison.ts';

/** A distribution of latencies, in milliseconds. */
export class Latencies {
  /** In microseconds. */
  readonly #histogram = createHistogram();

  record(milliseconds: number): void {
    this.#histogram.record(Math.max(1, Math.round(milliseconds * 1000)));
  }

  quantiles(): Latency {
    const at = (percentile: number) => this.#histogram.percentile(percentile) / 1000;
    return { p50: at(50), p90: at(90), p99: at(99), p99_9: at(99.9) };
  }
}
