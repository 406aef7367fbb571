import { type Command, Option } from '@commander-js/extra-typings';
import { withServiceOptions } from './service-client.ts';
import { integerBetween, serveOptions } from './settings.ts';

/** Commands for those who look after secrets. */
export function addRotationCommands(program: Command): void {
  withServiceOptions(
    program
      .command('rotate')
      .description('rotate a secret: add one, hand it to a command, retire the others once it was used'),
  )
    .addOption(new Option('--user <id>', 'the machine user').makeOptionMandatory())
    .option('--file <path>', 'write the new secret there, instead of to the standard input of the command')
    .option('--undo <line>', 'for the shell: gives the workload its old secret back, before the new one ends')
    .addOption(
      new Option('--wait <seconds>', 'how long the new secret may take to be used; then all is as before')
        .default(600)
        .argParser(integerBetween(1, 7 * 24 * 3600)),
    )
    .argument('<command...>', 'what gives the secret to the workload; the secret comes by standard input')
    .action(async (command, settings) => (await import('./rotate.ts')).rotate(command, settings));

  program
    .command('stale')
    .description('list the live secrets to look at: replaced ones still used, unused ones, old ones')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(serveOptions.masterKey)
    .addOption(
      new Option('--unused-days <number>', 'days without use after which a secret is listed')
        .default(90)
        .argParser(integerBetween(0, 36_500)),
    )
    .addOption(
      new Option('--old-days <number>', 'days after its creation from which on a secret is listed')
        .default(365)
        .argParser(integerBetween(0, 36_500)),
    )
    .addOption(
      new Option('--format <format>', 'form of the answer')
        .choices(['table', 'json', 'csv'] as const)
        .default('table' as const),
    )
    .action(async (settings) => (await import('./stale.ts')).stale(settings));

  program
    .command('scan')
    .description('find Keyturn secrets in files and git history; status 1 when there is one')
    .argument('<path>', 'a file, or a folder')
    .option('--json', 'one JSON object a line')
    .action(async (path, settings) => (await import('./scan.ts')).scan(path, settings));
}
