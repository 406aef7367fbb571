import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { parseTime } from '../audit/moment.ts';
import { history } from './history.ts';
import { integerBetween, serveOptions } from './settings.ts';
import { verify } from './verify.ts';

/** Commands that read the log of an instance, whether it runs or is stopped. */
export function addAuditCommands(program: Command): void {
  program
    .command('verify')
    .description('check that nobody edited the log; names the first event that does not fit')
    .addOption(serveOptions.dataDir)
    .addOption(
      new Option('--threads <number>', 'how many threads share the work on a long log')
        .default(Math.min(2, availableParallelism()))
        .argParser(integerBetween(1, 64)),
    )
    .addOption(
      new Option('--format <format>', 'form of the answer')
        .choices(['text', 'json'] as const)
        .default('text' as const),
    )
    .action(verify);

  program
    .command('history')
    .description('show the life of a machine user: what changed, when, by whom and from where')
    .argument('<user>', 'id or user name; also of a user that was removed')
    .addOption(serveOptions.dataDir)
    .addOption(
      new Option('--format <format>', 'form of the answer')
        .choices(['table', 'json', 'ndjson', 'csv'] as const)
        .default('table' as const),
    )
    .addOption(new Option('--since <time>', 'from this time on: RFC 3339, or a date').argParser(timeArgument))
    .addOption(new Option('--until <time>', 'up to this time').argParser(timeArgument))
    .addOption(new Option('--type <event...>', 'only events of these types'))
    .addOption(
      new Option('--after <position>', 'only events past this position: the next page').argParser(
        positionArgument,
      ),
    )
    .addOption(
      new Option('--limit <number>', 'at most so many events').argParser(
        integerBetween(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .action(history);
}

function timeArgument(text: string): string {
  const time = parseTime(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError('It must be a time as 2026-01-31T14:05:00Z, or a date as 2026-01-31.');
}

export function positionArgument(text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError('It must be a position: a whole number.');
}
