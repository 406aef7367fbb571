import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { NewMachineSecret } from '../../src/application/machine-secrets.ts';
import { canSignIn, machineUserAsOf } from '../../src/audit/as-of.ts';
import { isIntact, verifyLog } from '../../src/audit/verify-log.ts';
import { organization } from '../../src/domain/aggregates.ts';
import { KeyturnError } from '../../src/domain/errors.ts';
import { isLive } from '../../src/domain/machine-user/secrets.ts';
import type { SecretPolicyScope } from '../../src/domain/secret-policy/decider.ts';
import type { SecretPolicySettings } from '../../src/domain/secret-policy/policy.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { context, organizationId, robot, TestClock } from '../support/application.ts';
import { type KeyturnNode, startNode } from '../support/keyturn-node.ts';
import { type Death, MortalEventStore } from '../support/mortal-event-store.ts';
import { liveIds, SecretsInLog, unstatedEnds } from '../support/secrets-in-log.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const users = ['one', 'two'] as const;
const hour = 3600;
const day = 24 * hour;

/** A secret that somebody was given, and so has. */
interface AnsweredSecret {
  readonly userId: string;
  readonly secretId: string;
  readonly secret: string;
  readonly sequence: bigint;
}

/** What could sign in at some time, when the log had come to `position`. */
interface Moment {
  readonly userId: string;
  readonly position: bigint;
  readonly time: string;
  readonly live: readonly string[];
  readonly accepted: readonly string[];
}

/** A service on files that outlive its processes, with what its clients know of it. */
class Service {
  readonly clock = new TestClock();
  readonly #folder = temporaryFolder();
  readonly #moments: Moment[] = [];
  /** Those that were live once, and then were not. */
  readonly #ended = new Set<string>();
  readonly answered: AnsweredSecret[] = [];
  crashes = 0;
  #process: { readonly store: MortalEventStore; readonly node: KeyturnNode } | undefined;

  static async setUp(): Promise<Service> {
    const service = new Service();
    await service.#start();
    const { commands, machineUsers } = service.node;
    await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'ACME' }, context);
    for (const userId of users) {
      await machineUsers.add({ ...robot, userId, userName: userId }, context);
    }
    return service;
  }

  get node(): KeyturnNode {
    return this.#running.node;
  }

  dieAt(death: Death): void {
    this.#running.store.dieAt(death);
  }

  die(): void {
    this.#running.store.die();
  }

  /** The answer, or undefined where the rules forbid it, or the process ends before it has answered. */
  async attempt<Result>(action: () => Promise<Result>): Promise<Result | undefined> {
    const { end } = this.#running.store;
    const ended = new Promise<undefined>((resolve) =>
      end.addEventListener('abort', () => resolve(undefined)),
    );
    const answer = action().catch((error: unknown) => {
      if (error instanceof KeyturnError || end.aborted) return undefined;
      throw error;
    });
    return Promise.race([answer, ended]);
  }

  /** Whether the process has come through the last action; starts another one where it has not. */
  async survived(): Promise<boolean> {
    if (!this.#running.store.end.aborted) return true;
    this.crashes++;
    await this.stop();
    await this.#start();
    return false;
  }

  /** Holds all that can be seen now against the log, and keeps it. */
  async check(): Promise<void> {
    const { node, store } = this.#running;
    const position = await node.caughtUp();
    const time = this.clock.now.toISOString();
    const log = SecretsInLog.read(await Array.fromAsync(store.readAll()));
    for (const userId of users) {
      const user = log.user(userId);
      const live = liveIds(user, time);
      for (const { secretId } of user.secrets) if (!live.includes(secretId)) this.#ended.add(secretId);

      const { sequence, creationDate, changeDate } = user;
      const hasSecret = live.length > 0;
      const view = node.directory.machineUserById(userId);
      expect(view).toMatchObject({ hasSecret, sequence, creationDate, changeDate });
      expect(node.directory.machineSecretsOf(userId)?.secrets.map(({ secretId }) => secretId)).toEqual(live);

      const answered = this.answered.filter((one) => one.userId === userId);
      for (const { secretId, sequence } of answered) {
        expect(user.secrets).toContainEqual(expect.objectContaining({ secretId, sequence }));
      }
      const accepted = await acceptedOf(node, answered);
      const isUsable = ({ secretId }: AnsweredSecret) => user.isActive && live.includes(secretId);
      expect(accepted).toEqual(idsOf(answered.filter(isUsable)));
      expect(accepted.filter((secretId) => this.#ended.has(secretId))).toEqual([]);
      this.#moments.push({ userId, position, time, live, accepted });
    }
    expect(node.failures).toEqual([]);
  }

  /** What time has done is in the log: nothing is left over, from before a crash or an outage either. */
  async checkTimes(): Promise<void> {
    const log = SecretsInLog.read(await Array.fromAsync(this.#running.store.readAll()));
    const unstated = users.map((userId) => unstatedEnds(log.user(userId), this.clock.now.toISOString()));
    expect(unstated).toEqual(users.map(() => []));
  }

  /** A replay gives for each moment that was kept the answer that was given then. */
  async checkReplays(): Promise<void> {
    const { store } = this.#running;
    for (const { userId, position, time, live, accepted } of this.#moments) {
      const standing = await machineUserAsOf(store, userId, position);
      const replayed = standing?.secrets.filter((secret) => isLive(secret, time));
      expect(idsOf(replayed ?? []).toSorted()).toEqual(live.toSorted());
      const mayHaveSignedIn = standing !== undefined && canSignIn(standing, time);
      if (accepted.length > 0) expect(mayHaveSignedIn).toBe(true);
      expect(mayHaveSignedIn).toBe(standing?.state === 'active' && live.length > 0);
    }
    expect(isIntact(await verifyLog({ eventStore: store }))).toBe(true);
  }

  async stop(): Promise<void> {
    const { node, store } = this.#running;
    this.#process = undefined;
    await node.stop();
    await store.close();
  }

  async #start(): Promise<void> {
    const store = new MortalEventStore(openSqliteEventStore({ file: join(this.#folder, 'events.db') }));
    const readModelFile = join(this.#folder, 'read-model.db');
    const node = await startNode({ eventStore: store, readModelFile, clock: this.clock.read });
    this.#process = { store, node };
  }

  get #running() {
    if (this.#process === undefined) throw new Error('the service has not started');
    return this.#process;
  }
}

async function acceptedOf(node: KeyturnNode, secrets: readonly AnsweredSecret[]): Promise<string[]> {
  const accepted: string[] = [];
  for (const { userId, secretId, secret } of secrets) {
    if (await node.accepts(userId, secret)) accepted.push(secretId);
  }
  return accepted;
}

function idsOf(secrets: readonly { readonly secretId: string }[]): string[] {
  return secrets.map(({ secretId }) => secretId);
}

/** One thing that somebody does, or that happens. */
type Action = (service: Service) => Promise<unknown>;

interface Choice {
  readonly userId: string;
  /** Which of the secrets that the user was ever given. */
  readonly which: number;
  /** In seconds, as the next. */
  readonly overlap: number | undefined;
  readonly expiresIn: number | undefined;
}

const chosen = ({ answered }: Service, { userId, which }: Choice) => {
  const own = answered.filter((one) => one.userId === userId);
  return own[which % own.length] ?? { userId, secretId: 'none', secret: 'none' };
};

const newSecret = ({ clock }: Service, { overlap, expiresIn }: Choice): NewMachineSecret => ({
  overlap,
  expiresAt: expiresIn === undefined ? undefined : timeIn(clock, expiresIn),
});

function timeIn({ now }: TestClock, seconds: number): string {
  return new Date(now.getTime() + seconds * 1000).toISOString();
}

/** Not one that can be guessed. */
const foreignSecret = (id: string) => `Zq8!vN2#${id}-xW5$kT9&pL3`;

const actionsOnSecrets: Readonly<Record<string, (service: Service, choice: Choice) => Promise<unknown>>> = {
  async put({ node, answered }, { userId }) {
    const set = await node.machineUsers.setSecret({ userId, organizationId }, context);
    const { clientSecret: secret, details } = set;
    answered.push({ userId, secretId: secret.slice(4, 20), secret, sequence: details.sequence });
  },
  async add(service, choice) {
    const { userId } = choice;
    const user = { userId, organizationId };
    const added = await service.node.machineSecrets.add(user, newSecret(service, choice), context);
    const { secretId, clientSecret: secret, details } = added;
    service.answered.push({ userId, secretId, secret, sequence: details.sequence });
  },
  async import(service, choice) {
    const { userId } = choice;
    const secretId = `imported-${service.answered.length}`;
    const secret = foreignSecret(secretId);
    const imported = {
      secretId,
      from: { case: 'secret', value: secret },
      ...newSecret(service, choice),
    } as const;
    const { details } = await service.node.machineSecrets.import(
      { userId, organizationId },
      imported,
      context,
    );
    service.answered.push({ userId, secretId, secret, sequence: details.sequence });
  },
  retire: (service, choice) =>
    service.node.machineSecrets.retire({ organizationId, ...chosen(service, choice) }, context),
  'cancel the retirement of': (service, choice) =>
    service.node.machineSecrets.cancelRetirement({ organizationId, ...chosen(service, choice) }, context),
  'change the expiry of': (service, choice) =>
    service.node.machineSecrets.changeExpiry(
      { organizationId, ...chosen(service, choice) },
      newSecret(service, choice).expiresAt,
      context,
    ),
  'report a leak of': (service, choice) =>
    service.node.leaks.report({ secret: chosen(service, choice).secret, source: 'test' }, context),
  'sign in with': (service, choice) => service.node.signIn(choice.userId, chosen(service, choice).secret),
  remove: ({ node }, { userId }) => node.machineUsers.removeSecret({ userId, organizationId }, context),
  deactivate: ({ node }, { userId }) => node.machineUsers.deactivate({ userId, organizationId }, context),
  reactivate: ({ node }, { userId }) => node.machineUsers.reactivate({ userId, organizationId }, context),
};

/** Whether the process has come through it. */
async function keepTime(service: Service): Promise<boolean> {
  await service.attempt(() => service.node.timekeeper.keepUp());
  const isKept = await service.survived();
  if (isKept) await service.checkTimes();
  return isKept;
}

class Step implements fc.AsyncCommand<object, Service> {
  readonly #text: string;
  readonly #action: Action;

  constructor(text: string, action: Action) {
    this.#text = text;
    this.#action = action;
  }

  check = () => true;

  async run(_: object, service: Service): Promise<void> {
    await this.#action(service);
    await service.survived();
    await service.check();
  }

  toString = () => this.#text;
}

const anyOf = (...values: number[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
const anyChoice: fc.Arbitrary<Choice> = fc.record({
  userId: fc.constantFrom(...users),
  which: fc.nat({ max: 7 }),
  overlap: anyOf(0, 60, hour, day),
  expiresIn: anyOf(60, hour, 2 * day, 40 * day),
});
const anyRequest = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('put', 'add') },
      { weight: 3, arbitrary: fc.constantFrom(...Object.keys(actionsOnSecrets)) },
    ),
    anyChoice,
  )
  .map(([name, choice]) => ({
    text: `${name} ${JSON.stringify(choice)}`,
    action: (async (service) => {
      await service.attempt(async () => actionsOnSecrets[name]?.(service, choice));
    }) as Action,
  }));

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

const oneRequest = anyRequest.map(({ text, action }) => new Step(text, action));

const anySteps = fc.commands(
  [
    // One of these is drawn as often as one of those: as many requests as all else.
    ...Array.from({ length: 6 }, () => oneRequest),
    fc.array(anyRequest, { minLength: 2, maxLength: 4 }).map(
      (requests) =>
        new Step(`at once: ${requests.map(({ text }) => text).join(', ')}`, async (service) => {
          await Promise.all(requests.map(({ action }) => action(service)));
        }),
    ),
    fc.tuple(anyScope, anySettings).map(
      ([scope, settings]) =>
        new Step(`policy ${JSON.stringify({ scope, settings })}`, async (service) => {
          await service.attempt(() => service.node.secretPolicies.set(scope, settings, context));
        }),
    ),
    anyScope.map(
      (scope) =>
        new Step(`no policy ${JSON.stringify(scope)}`, async (service) => {
          await service.attempt(() => service.node.secretPolicies.reset(scope, context));
        }),
    ),
    fc
      .constantFrom(1, 59, 60, hour, day, 10 * day, 40 * day)
      .map(
        (seconds) => new Step(`${seconds} seconds pass`, async ({ clock }) => clock.advance(seconds * 1000)),
      ),
    fc.constant(new Step('time is kept', keepTime)),
    fc
      .record({ append: fc.integer({ min: 1, max: 3 }), isStored: fc.boolean() })
      .map(
        (death) =>
          new Step(
            `will crash at append ${death.append}, ${death.isStored ? 'stored' : 'not stored'}`,
            async (service) => service.dieAt(death),
          ),
      ),
    fc.constant(new Step('crash', async (service) => service.die())),
  ],
  { maxCommands: 60, size: 'max' },
);

test('rotation keeps its promises over random commands, policies, clocks and crashes', async () => {
  let crashes = 0;
  await fc.assert(
    fc.asyncProperty(anySteps, async (steps) => {
      const service = await Service.setUp();
      try {
        await fc.asyncModelRun(() => ({ model: {}, real: service }), steps);
        while (!(await keepTime(service)));
        await service.check();
        await service.checkReplays();
        crashes += service.crashes;
      } finally {
        await service.stop();
      }
    }),
    { numRuns: 30, interruptAfterTimeLimit: 15_000 },
  );
  expect(crashes).toBeGreaterThan(0);
});
