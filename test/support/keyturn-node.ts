import {
  type AuthenticationRequest,
  ClientAuthenticator,
} from '../../src/application/client-authentication.ts';
import { type Clock, CommandHandler } from '../../src/application/command-handler.ts';
import { type CredentialCheck, strictCheck } from '../../src/application/credential-check.ts';
import { Leaks } from '../../src/application/leaks.ts';
import { MachineSecrets } from '../../src/application/machine-secrets.ts';
import { MachineUsers } from '../../src/application/machine-users.ts';
import { Owners } from '../../src/application/owners.ts';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import { SecretPolicies } from '../../src/application/secret-policies.ts';
import { SecretTimekeeper } from '../../src/application/secret-timekeeper.ts';
import { SecretUseRecorder } from '../../src/application/secret-use-recorder.ts';
import type { EventStore } from '../../src/eventstore/event-store.ts';
import { headOf } from '../../src/eventstore/head.ts';
import { Projector } from '../../src/projections/projector.ts';
import { openReadModel } from './read-model.ts';

export interface NodeOptions {
  readonly eventStore: EventStore;
  readonly readModelFile: string;
  readonly clock: Clock;
  /** Default: `read-model`. */
  readonly credentialCheck?: CredentialCheck;
  /** Whether a change waits until the read model shows it. Default: always. */
  readonly waitsForReadModel?: () => boolean;
}

export const announcedDays = [30, 7, 1];
const request: AuthenticationRequest = { id: 'request', origin: { address: '127.0.0.1' } };

export type KeyturnNode = Awaited<ReturnType<typeof startNode>>;

/** What one process of Keyturn has for secrets and sign-ins, without its HTTP server, and with a timekeeper that runs when told. */
export async function startNode({ eventStore, readModelFile, clock, ...options }: NodeOptions) {
  const readModel = await openReadModel(readModelFile, eventStore, clock);
  const projector = new Projector({ eventStore, readModel, clock });
  projector.start();
  await projector.caughtUp;
  const directory = readModel.queries;
  const hasher = bcryptHasher(4);
  const { waitsForReadModel = () => true } = options;
  const commands = new CommandHandler({
    eventStore,
    clock,
    waitForReadModel: async (position) => {
      if (waitsForReadModel()) await projector.waitFor(position);
    },
  });
  /** Of what is done beside an answer. */
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => void failures.push(error);
  const machineSecrets = new MachineSecrets(commands, hasher);
  const authenticator = new ClientAuthenticator({
    directory,
    hasher,
    commands,
    isStillValid: options.credentialCheck === 'strict' ? strictCheck(commands) : undefined,
    onRehashFailure: onFailure,
  });
  return {
    commands,
    directory,
    failures,
    machineSecrets,
    machineUsers: new MachineUsers(commands, hasher, new Owners(commands)),
    secretPolicies: new SecretPolicies(commands),
    leaks: new Leaks({ commands, directory, hasher }),
    timekeeper: new SecretTimekeeper({ machineSecrets, directory, clock, announcedDays, onFailure }),

    /** Whether the secret is accepted. Nothing is recorded. */
    accepts: async (loginName: string, secret: string) =>
      (await authenticator.authenticate(loginName, secret, request)) !== undefined,

    /** The same with the record of its use, which is waited for, by a recorder that remembers no use before. */
    async signIn(loginName: string, secret: string): Promise<boolean> {
      const client = await authenticator.authenticate(loginName, secret, request);
      if (client === undefined) return false;
      const { userIdByLoginName } = directory;
      const recorder = new SecretUseRecorder({ commands, userIdByLoginName, onFailure });
      recorder.used(client, request);
      await recorder.close();
      return true;
    },

    /** Resolves when the read model shows all that the log holds now, with the position of that. */
    async caughtUp(): Promise<bigint> {
      const head = await headOf(eventStore);
      await projector.waitFor(head);
      return head;
    },

    async stop(): Promise<void> {
      await projector.stop();
      readModel.close();
    },
  };
}
