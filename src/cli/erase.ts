import type { Command } from '@commander-js/extra-typings';
import { toJson } from './output.ts';
import { reportingServiceErrors, ServiceClient, withServiceOptions } from './service-client.ts';

interface Erasure {
  readonly erasureDate: string;
  /** Absent: none. */
  readonly eventsInTheClear?: number;
}

/** Adds `keyturn erase`: it asks the running service, as the admin or another user with the permission `user.erase`. */
export function addEraseCommand(program: Command): void {
  withServiceOptions(
    program
      .command('erase')
      .description('make the personal fields of a removed machine user unreadable, for ever'),
  )
    .argument('<user>', 'id of the machine user')
    .option('--json', 'print JSON')
    .action((userId, { json, ...settings }) =>
      reportingServiceErrors(async () => {
        const path = `/keyturn/v1/users/${encodeURIComponent(userId)}/_erase`;
        const erasure = await new ServiceClient(settings).call<Erasure>('POST', path, {});
        process.stdout.write(`${json ? toJson(erasure, 2) : inWords(userId, erasure)}\n`);
      }),
    );
}

function inWords(userId: string, { erasureDate, eventsInTheClear = 0 }: Erasure): string {
  const erased = `user ${userId} is erased since ${erasureDate}`;
  if (eventsInTheClear === 0) return erased;
  return `${erased}, but for ${eventsInTheClear} events of Keyturn 0.1: they hold personal fields in the clear, for ever`;
}
