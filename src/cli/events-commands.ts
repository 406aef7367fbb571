import { type Command, Option } from '@commander-js/extra-typings';
import { positionArgument } from './audit-commands.ts';
import { serveOptions } from './settings.ts';

/** Commands about the events that subscribers are told of. */
export function addEventsCommands(program: Command): void {
  program
    .command('events')
    .description('the events that subscribers are told of')
    .command('tail')
    .description('follow the log: one line for each event as it happens')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(serveOptions.masterKey)
    .addOption(serveOptions.externalUrl)
    .addOption(
      new Option(
        '--after <position>',
        'begin after this position; 0 shows all (default: what happens from now on)',
      ).argParser(positionArgument),
    )
    .addOption(new Option('--type <event...>', 'only events of these types'))
    .addOption(new Option('--user <user>', 'only events about this user, by id or user name'))
    .addOption(new Option('--json', 'CloudEvents as JSON, one a line'))
    .action(async (settings) => (await import('./tail.ts')).tail(settings));
}
