import Table from 'cli-table3';
import type { Spread } from './comparison.ts';
import type { Budget, Row, Unit } from './row.ts';
import { count, type Scale } from './section.ts';

/** A whole run, as `bench/results/` keeps it. */
export interface Report {
  /** RFC 3339 */
  readonly date: string;
  readonly size: 'full' | 'quick' | 'smoke';
  readonly machine: string;
  readonly minutes: number;
  /** Of the machine in the last minute. */
  readonly loadAverage: number;
  readonly scale: Scale;
  readonly rows: readonly Row[];
}

const columns = ['what', 'Keyturn', 'reference', 'ratio', 'by CPU time', 'budget', 'load'];

/** The run as text for a terminal. A budget that is not met is marked. */
export function tableOf(report: Report): string {
  const table = new Table({
    head: columns,
    style: { head: [], border: [], compact: true },
    colWidths: [44, 12, 40, 22, 22, 14, 6],
    wordWrap: true,
  });
  table.push(...report.rows.map(cellsOf));
  return `${aboutOf(report).join('\n')}\n\n${table.toString()}`;
}

/** The run as Markdown. */
export function markdownOf(report: Report): string {
  const lines = report.rows.map((row) => {
    const cells = cellsOf(row).map((cell) => cell.replaceAll('|', '\\|'));
    return `| ${cells.join(' | ')} |`;
  });
  return [
    ...aboutOf(report).map((line) => `- ${line}`),
    '',
    `| ${columns.join(' | ')} |`,
    `|${columns.map(() => ' --- |').join('')}`,
    ...lines,
  ].join('\n');
}

function aboutOf({ date, size, machine, minutes, loadAverage, scale, rows }: Report): string[] {
  const met = rows.filter(({ budget }) => budget.isMet).length;
  return [
    `${date.slice(0, 16).replace('T', ' ')} UTC, ${machine}`,
    `a ${size} run of ${minutes.toFixed(1)} minutes: ${scale.rounds} rounds of ${scale.seconds} s each after ${scale.warmUpRounds} to warm up`,
    `load average at the end ${loadAverage.toFixed(1)}, with the work of the run itself`,
    `${met} of ${rows.length} budgets met`,
  ];
}

function cellsOf(row: Row): string[] {
  const { what, unit, keyturn, reference, ratio, ratioByCpuTime, budget, loadShare } = row;
  return [
    what,
    figure(keyturn, unit),
    reference === undefined ? '' : `${figure(reference, unit)} ${reference.name}`,
    spread(ratio),
    spread(ratioByCpuTime),
    budgetOf(budget, unit),
    loadShare === undefined ? '' : loadShare.toFixed(2),
  ];
}

function budgetOf(budget: Budget, unit: Unit): string {
  const aim =
    'atLeast' in budget ? `≥ ${budget.atLeast}` : `< ${budget.below}${budget.of === 'figure' ? unit : ''}`;
  return budget.isMet ? aim : `${aim} missed`;
}

function spread(of: Spread | undefined): string {
  if (of === undefined) return '';
  return `${of.median.toFixed(2)} (${of.least.toFixed(2)} to ${of.most.toFixed(2)})`;
}

function figure({ median }: Spread, unit: Unit): string {
  const number = unit === '/s' || unit === ' MB' ? count(Math.round(median)) : median.toFixed(2);
  return `${number}${unit}`;
}
