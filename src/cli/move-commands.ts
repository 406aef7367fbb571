import { type Command, Option } from '@commander-js/extra-typings';
import { serveOptions } from './settings.ts';

/** Commands that carry all events from one event store to another, by way of a file. */
export function addMoveCommands(program: Command): void {
  program
    .command('export')
    .description('write all events to a file; one that is there from before is continued')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(new Option('--output <file>', 'file to write').makeOptionMandatory())
    .action(async (settings) => (await import('./move.ts')).moveOut(settings));

  program
    .command('import')
    .description('write the events of a file to an empty event store; one that was cut off is finished')
    .addOption(serveOptions.dataDir)
    .addOption(serveOptions.eventStore)
    .addOption(new Option('--input <file>', 'file to read').makeOptionMandatory())
    .action(async (settings) => (await import('./move.ts')).moveIn(settings));
}
