import type { Command } from '@commander-js/extra-typings';
import { reportingServiceErrors, ServiceClient, withServiceOptions } from './service-client.ts';

interface Erasure {
  readonly erasureDate: string;
  /** Absent: none. */
  readonly eventsInTheClear?: number;
  /** Absent: no. */
  readonly needsScavenge?: boolean;
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
        process.stdout.write(`${json ? JSON.stringify(erasure, null, 2) : inWords(userId, erasure)}\n`);
      }),
    );
}

function inWords(
  userId: string,
  { erasureDate, eventsInTheClear = 0, needsScavenge = false }: Erasure,
): string {
  const erased = `user ${userId} is erased since ${erasureDate}`;
  const remains = [
    ...(eventsInTheClear > 0
      ? [`${eventsInTheClear} events of Keyturn 0.1 hold personal fields in the clear, for ever`]
      : []),
    ...(needsScavenge
      ? [
          "the user's key, encrypted under the master key, is on the disks of the event store until it is scavenged",
        ]
      : []),
  ];
  return remains.length === 0 ? erased : `${erased}, but ${remains.join(', and ')}`;
}
