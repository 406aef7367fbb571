import fc from 'fast-check';
import type { NewMachineSecret } from '../../src/application/machine-secrets.ts';
import { organization } from '../../src/domain/aggregates.ts';
import type { SecretPolicyScope } from '../../src/domain/secret-policy/decider.ts';
import type { SecretPolicySettings } from '../../src/domain/secret-policy/policy.ts';
import { context, organizationId, robot, type TestClock } from './application.ts';
import type { KeyturnNode } from './keyturn-node.ts';

/** The machine users that requests are about; their user names too. */
export const users = ['one', 'two'] as const;

const hour = 3600;
export const day = 24 * hour;

/** A secret that somebody was given, and so has. */
export interface AnsweredSecret {
  readonly userId: string;
  readonly secretId: string;
  readonly secret: string;
  readonly sequence: bigint;
}

/** Who makes requests: what they know, and the node that they ask. */
export interface Client {
  readonly node: KeyturnNode;
  readonly clock: TestClock;
  readonly answered: AnsweredSecret[];
}

/** Something that a client may ask for, with a text for reports of properties. */
export interface AnyRequest {
  readonly text: string;
  /** @throws KeyturnError where the rules forbid it */
  readonly run: (client: Client) => Promise<unknown>;
}

interface Choice {
  readonly userId: string;
  /** Which of the secrets that the user was given, counted from the last. */
  readonly which: number;
  /** In seconds, as the next. */
  readonly overlap: number | undefined;
  readonly expiresIn: number | undefined;
}

const rotations: Readonly<Record<string, (client: Client, choice: Choice) => Promise<unknown>>> = {
  async put({ node, answered }, { userId }) {
    const set = await node.machineUsers.setSecret({ userId, organizationId }, context);
    const { clientSecret: secret, details } = set;
    answered.push({ userId, secretId: secret.slice(4, 20), secret, sequence: details.sequence });
  },
  async add(client, choice) {
    const { userId } = choice;
    const user = { userId, organizationId };
    const added = await client.node.machineSecrets.add(user, newSecret(client, choice), context);
    const { secretId, clientSecret: secret, details } = added;
    client.answered.push({ userId, secretId, secret, sequence: details.sequence });
  },
  retire: (client, choice) => client.node.machineSecrets.retire(chosen(client, choice), context),
  'cancel the retirement of': (client, choice) =>
    client.node.machineSecrets.cancelRetirement(chosen(client, choice), context),
};

const otherRequests: typeof rotations = {
  async import(client, choice) {
    const { userId } = choice;
    const secretId = `imported-${client.answered.length}`;
    const secret = `Zq8!vN2#${secretId}-xW5$kT9&pL3`;
    const imported = { secretId, from: { case: 'secret', value: secret } as const };
    const { details } = await client.node.machineSecrets.import(
      { userId, organizationId },
      { ...imported, ...newSecret(client, choice) },
      context,
    );
    client.answered.push({ userId, secretId, secret, sequence: details.sequence });
  },
  'change the expiry of': (client, choice) =>
    client.node.machineSecrets.changeExpiry(
      chosen(client, choice),
      newSecret(client, choice).expiresAt,
      context,
    ),
  'report a leak of': (client, choice) =>
    client.node.leaks.report({ secret: chosen(client, choice).secret, source: 'test' }, context),
  remove: ({ node }, { userId }) => node.machineUsers.removeSecret({ userId, organizationId }, context),
  deactivate: ({ node }, { userId }) => node.machineUsers.deactivate({ userId, organizationId }, context),
  reactivate: ({ node }, { userId }) => node.machineUsers.reactivate({ userId, organizationId }, context),
};

const signIns: typeof rotations = {
  'sign in with': (client, choice) => client.node.signIn(choice.userId, chosen(client, choice).secret),
};

function chosen({ answered }: Client, { userId, which }: Choice) {
  const own = answered.filter((one) => one.userId === userId);
  return {
    organizationId,
    ...(own.at(-1 - (which % own.length)) ?? { userId, secretId: 'none', secret: 'none' }),
  };
}

function newSecret({ clock }: Client, { overlap, expiresIn }: Choice): NewMachineSecret {
  const expiry = expiresIn === undefined ? undefined : new Date(clock.now.getTime() + expiresIn * 1000);
  return { overlap, expiresAt: expiry?.toISOString() };
}

const oneOf = (...values: number[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
const anyChoice: fc.Arbitrary<Choice> = fc.record({
  userId: fc.constantFrom(...users),
  which: fc.nat({ max: 4 }),
  overlap: oneOf(0, 60, hour, day),
  expiresIn: oneOf(60, hour, 2 * day, 40 * day),
});

const requestsOf = (requests: typeof rotations): fc.Arbitrary<AnyRequest> =>
  fc.tuple(fc.constantFrom(...Object.entries(requests)), anyChoice).map(([[name, request], choice]) => ({
    text: `${name} ${JSON.stringify(choice)}`,
    run: (client) => request(client, choice),
  }));

/** A new secret, or an end of one, or an end taken back. */
export const anyRotation = requestsOf(rotations);
/** The same, and all else that is done with secrets. */
export const anySecretRequest = fc.oneof(anyRotation, requestsOf(signIns), requestsOf(otherRequests));

const anyScope = fc.constantFrom<SecretPolicyScope>(
  { level: 'instance' },
  { level: 'organization', organizationId },
  ...users.map((userId) => ({ level: 'user', userId, organizationId }) as const),
);
const anySettings: fc.Arbitrary<SecretPolicySettings> = fc.record(
  {
    overlap: fc.constantFrom(0, 60, hour, day),
    maxLiveSecrets: fc.integer({ min: 1, max: 4 }),
    lifetime: fc.constantFrom(hour, 8 * day),
    maxLifetime: fc.constantFrom(8 * day, 40 * day),
    endTokens: fc.boolean(),
    retireLeaked: fc.boolean(),
  },
  { requiredKeys: [] },
);
export const anyPolicyRequest: fc.Arbitrary<AnyRequest> = fc
  .tuple(anyScope, fc.option(anySettings, { nil: undefined }))
  .map(([scope, settings]) => ({
    text: `${settings ? `set ${JSON.stringify(settings)} as` : 'reset'} the policy of ${JSON.stringify(scope)}`,
    run: ({ node: { secretPolicies } }) =>
      settings ? secretPolicies.set(scope, settings, context) : secretPolicies.reset(scope, context),
  }));

/** In seconds. */
export const anyWait = fc.constantFrom(1, 59, 60, hour, day, 10 * day, 40 * day);

/** Adds the organization and the users, before any request. With a policy under which they have several secrets soon. */
export async function addUsers({ commands, machineUsers, secretPolicies }: KeyturnNode): Promise<void> {
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'ACME' }, context);
  for (const userId of users) await machineUsers.add({ ...robot, userId, userName: userId }, context);
  await secretPolicies.set({ level: 'instance' }, { overlap: hour, maxLiveSecrets: 4 }, context);
}
