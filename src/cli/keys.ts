import { Console } from 'node:console';
import type { Command } from '@commander-js/extra-typings';
import {
  reportingServiceErrors,
  ServiceClient,
  type ServiceClientSettings,
  withServiceOptions,
} from './service-client.ts';

interface KeysSettings extends ServiceClientSettings {
  readonly json?: true | undefined;
}

interface SigningKey {
  readonly id: string;
  readonly algorithm: string;
  readonly state: string;
  readonly creationDate: string;
  readonly signsFrom: string;
}

/** Adds `keyturn keys`: it asks the running service, as the admin or another user with the role IAM_OWNER. */
export function addKeysCommands(program: Command): void {
  const keys = program.command('keys').description('the keys that tokens are signed with');
  const commandOn = (name: string, description: string) =>
    withServiceOptions(keys.command(name).description(description)).option('--json', 'print JSON');

  commandOn('list', 'show the keys that are published').action((settings) =>
    reportingServiceErrors(async () => {
      const { result = [] } = await new ServiceClient(settings).call<{ result?: SigningKey[] }>(
        'GET',
        '/keyturn/v1/signing-keys',
      );
      print(settings, result);
    }),
  );
  commandOn('rotate', 'add a key, which signs in ten minutes, when every verifier can know it')
    .option(
      '--revoke-others',
      'a key was stolen: sign with the new one at once, and void all tokens of the others',
    )
    .action((settings) =>
      reportingServiceErrors(async () => {
        const body = { revokeOthers: settings.revokeOthers === true };
        const { key } = await new ServiceClient(settings).call<{ key: SigningKey }>(
          'POST',
          '/keyturn/v1/signing-keys/_rotate',
          body,
        );
        print(settings, [key]);
      }),
    );
}

function print({ json }: KeysSettings, keys: readonly SigningKey[]): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(keys, null, 2)}\n`);
    return;
  }
  const rows = keys.map(({ id, algorithm, state, creationDate, signsFrom }) => {
    const name = state.replace('SIGNING_KEY_STATE_', '').toLowerCase();
    return [id, { algorithm, state: name, created: creationDate, 'signs from': signsFrom }];
  });
  new Console(process.stdout).table(Object.fromEntries(rows));
}
