import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { parseTime } from '../audit/moment.ts';
import { integerBetween, serveOptions } from './settings.ts';

/** Commands that read the log of an instance, whether it runs or is stopped. */
export function addAuditCommands(program: Command): void {
  program
    .command('verify')
    .description('check that nobody edited the log; names the first event that does not fit')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
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
    .addOption(
      new Option('--checkpoint <file...>', 'checkpoints that you kept: proves that the log only grew since'),
    )
    .addOption(
      new Option(
        '--key <key>',
        'verifier key of the log, or a file that holds it (default: the one in the log)',
      ),
    )
    .addOption(
      new Option('--proof <file>', 'verify this proof instead, offline; needs --key').conflicts('checkpoint'),
    )
    .action(async (settings) => (await import('./verify.ts')).verify(settings));

  program
    .command('checkpoint')
    .description('print the last signed checkpoint of the log; keep it elsewhere')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(new Option('--verifier-key', 'print the key to verify it with'))
    .action(async (settings) => (await import('./prove.ts')).checkpoint(settings));

  program
    .command('prove')
    .description('write a proof that an event is in the log, which anyone can verify offline')
    .argument('<event>', 'position, <stream>@<revision>, or id')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(new Option('--out <file>', 'a new file (default: standard output)'))
    .action(async (event, settings) => (await import('./prove.ts')).prove(event, settings));

  program
    .command('history')
    .description('show the life of a machine user: what changed, when, by whom and from where')
    .argument('<user>', 'id or user name; also of a user that was removed')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(serveOptions.masterKey)
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
    .action(async (user, settings) => (await import('./history.ts')).history(user, settings));

  program
    .command('as-of')
    .description('show who could sign in at a moment, with which secret, and who had which role')
    .argument('<moment>', momentForm)
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(serveOptions.masterKey)
    .addOption(standingFormat())
    .addOption(new Option('--user <user>', 'only this machine user: id or user name'))
    .action(async (moment, settings) => (await import('./as-of.ts')).asOf(moment, settings));

  program
    .command('diff')
    .description('show what changed between two moments')
    .argument('<from>', momentForm)
    .argument('<to>', momentForm)
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(serveOptions.masterKey)
    .addOption(standingFormat())
    .addOption(new Option('--user <user>', 'only this machine user: id or user name'))
    .action(async (from, to, settings) => (await import('./as-of.ts')).diff(from, to, settings));

  program
    .command('replay')
    .description(
      'build the read model anew from the log and swap it in; ctrl-C stops, the next replay goes on',
    )
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(serveOptions.masterKey)
    .addOption(
      new Option('--check', 'change nothing: compare the live read model with the log, row by row').conflicts(
        'projection',
      ),
    )
    .addOption(
      new Option(
        '--projection <file>',
        'run a projection of your own, a TypeScript file, and print its result as JSON',
      ),
    )
    .action(async (settings) => (await import('./replay.ts')).replay(settings));

  program
    .command('backup')
    .description('copy the log into a new file, consistent also while the instance writes')
    .argument('<file>', 'a new file')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .action(async (file, settings) => (await import('./backup.ts')).backup(file, settings));

  program
    .command('restore')
    .description('put a backup in the place of the log of a stopped instance, if it verifies')
    .argument('<file>', 'a file that keyturn backup wrote')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(new Option('--replace', 'keep the log that is there aside, in a folder beside it'))
    .action(async (file, settings) => (await import('./backup.ts')).restore(file, settings));

  program
    .command('report')
    .description('write one page for auditors: secrets by age, rotations, who rotates, state of the log')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(serveOptions.masterKey)
    .addOption(new Option('--out <file>', 'the page').default('report.html'))
    .action(async (settings) => (await import('./report.ts')).report(settings));
}

const momentForm = 'a position in the log, or a time: RFC 3339, or a date';

function standingFormat() {
  return new Option('--format <format>', 'form of the answer')
    .choices(['table', 'json', 'ndjson'] as const)
    .default('table' as const);
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
