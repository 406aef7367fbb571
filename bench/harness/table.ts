import Table from 'cli-table3';
import type { Comparison, Spread } from './comparison.ts';

export interface ComparedRow extends Omit<Comparison, 'reference'> {
  readonly what: string;
  /** What Keyturn is measured beside, and its rate. */
  readonly reference: string;
  readonly peer: Spread;
  readonly unit: string;
  /** The least ratio that was aimed at. */
  readonly budget: number;
}

/** What has a budget and is not measured by this command yet. */
export const notMeasured: readonly {
  readonly what: string;
  readonly budget: string;
  readonly see?: string;
}[] = [
  { what: 'PUT secret over gRPC', budget: '0.75' },
  { what: 'first use of a secret', budget: '0.75' },
  { what: 'good clients while wrong secrets are refused', budget: '0.8' },
  { what: 'introspection of opaque tokens', budget: '0.6' },
  { what: 'subscriptions, 1 and 100 readers', budget: '0.5', see: 'npm run bench:events, without a ratio' },
  { what: 'start, 1,000,000 events', budget: '< 1 s' },
  { what: 'memory, 1,000,000 users', budget: '< 300 MB' },
  { what: 'growth with users and streams', budget: '0.85', see: 'node bench/lists.ts, for lists' },
  { what: 'goodput at twice the capacity', budget: '0.9' },
];

/** As text. A budget that is not met is marked. */
export function tableOf(rows: readonly ComparedRow[]): string {
  const table = new Table({
    head: ['what', 'Keyturn', 'reference', 'ratio', 'budget', 'load'],
    style: { head: [], border: [], compact: true },
    colWidths: [44, 12, 42, 22, 10, 6],
    wordWrap: true,
  });
  for (const { what, keyturn, reference, peer, unit, ratio, budget, loadShare } of rows) {
    table.push([
      what,
      rate(keyturn, unit),
      `${rate(peer, unit)} ${reference}`,
      `${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)})`,
      `${budget}${ratio.median < budget ? ' missed' : ''}`,
      loadShare === undefined ? '' : loadShare.toFixed(2),
    ]);
  }
  for (const { what, budget, see } of notMeasured) {
    table.push([what, 'not measured', see ?? '', '', budget, '']);
  }
  return table.toString();
}

function rate({ median }: Spread, unit: string): string {
  return `${Math.round(median).toLocaleString('en')}${unit}`;
}
