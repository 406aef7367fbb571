import { availableParallelism } from 'node:os';
import { type Command, Option } from '@commander-js/extra-typings';
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
}
