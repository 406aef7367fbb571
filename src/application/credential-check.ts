import { machineUser, organization } from '../domain/aggregates.ts';
import { liveSecrets } from '../domain/machine-user/secrets.ts';
import { exists } from '../domain/machine-user/state.ts';
import type { AuthenticatedClient } from './client-authentication.ts';
import type { CommandHandler } from './command-handler.ts';

/** How a secret or key is checked that the read model accepts: not at all beyond that, or with the {@link strictCheck}. */
export const credentialChecks = ['read-model', 'strict'] as const;
export type CredentialCheck = (typeof credentialChecks)[number];

/** The last word on a client whose secret or key is right: whether it still counts. */
export type IsStillValid = (client: AuthenticatedClient) => Promise<boolean>;

/**
 * `strict`: looks at the streams of the machine user and its organization, so that what another node has changed counts at once,
 * for two reads of the event store each time, side by side.
 */
export function strictCheck(commands: CommandHandler): IsStillValid {
  return async ({ userId, organizationId, credential: { kind, id } }) => {
    const [{ state }, owner] = await Promise.all([
      commands.load(machineUser, userId),
      commands.load(organization, organizationId),
    ]);
    if (!exists(state) || state.status !== 'active' || owner.state.status !== 'active') return false;
    if (kind === 'key') return state.keyIds.includes(id);
    return liveSecrets(state.secrets, commands.now().toISOString()).some(({ secretId }) => secretId === id);
  };
}
