import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canSignIn, machineUserAsOf } from '../../src/audit/as-of.ts';
import { isIntact, verifyLog } from '../../src/audit/verify-log.ts';
import { KeyturnError } from '../../src/domain/errors.ts';
import { isLive, type SecretTimes } from '../../src/domain/machine-user/secrets.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { context, organizationId, TestClock } from '../support/application.ts';
import { announcedDays, type KeyturnNode, startNode } from '../support/keyturn-node.ts';
import { type Death, MortalEventStore } from '../support/mortal-event-store.ts';
import {
  type AnsweredSecret,
  type AnyRequest,
  addUsers,
  anyPolicyRequest,
  anySecretRequest,
  anyWait,
  users,
} from '../support/secret-requests.ts';
import { liveIds, SecretsInLog, unstatedEnds } from '../support/secrets-in-log.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

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
  /** Of each user those that were live once, and then were not. */
  readonly #ended = new Map<string, Set<string>>(users.map((userId) => [userId, new Set()]));
  readonly answered: AnsweredSecret[] = [];
  crashes = 0;
  #process: { readonly store: MortalEventStore; readonly node: KeyturnNode } | undefined;

  static async setUp(): Promise<Service> {
    const service = new Service();
    await service.#start();
    await addUsers(service.node);
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
      const ended = this.#endedOf(userId);
      for (const { secretId } of user.secrets) if (!live.includes(secretId)) ended.add(secretId);

      const { sequence, creationDate, changeDate } = user;
      const hasSecret = live.length > 0;
      const view = node.directory.machineUserById(userId);
      expect(view).toMatchObject({ hasSecret, sequence, creationDate, changeDate });
      const shown = node.directory.machineSecretsOf(userId)?.secrets.map(timesOf);
      expect(shown).toEqual(user.secrets.filter(({ secretId }) => live.includes(secretId)).map(timesOf));

      const answered = this.answered.filter((one) => one.userId === userId);
      for (const { secretId, sequence } of answered) {
        expect(user.secrets).toContainEqual(expect.objectContaining({ secretId, sequence }));
      }
      const accepted = await acceptedOf(node, answered);
      const isUsable = ({ secretId }: AnsweredSecret) => user.isActive && live.includes(secretId);
      expect(accepted).toEqual(idsOf(answered.filter(isUsable)));
      expect(accepted.filter((secretId) => ended.has(secretId))).toEqual([]);
      this.#moments.push({ userId, position, time, live, accepted });
    }
    expect(node.failures).toEqual([]);
  }

  /** What time has done is in the log: nothing is left over, from before a crash or an outage either. */
  async checkTimes(): Promise<void> {
    const log = SecretsInLog.read(await Array.fromAsync(this.#running.store.readAll()));
    const unstated = users.map((userId) => unstatedEnds(log.user(userId), this.clock.now.toISOString()));
    expect(unstated).toEqual(users.map(() => []));
    // Nor is it stated again, by a node that has not heard that it was.
    for (const userId of users) {
      const user = { userId, organizationId };
      const { sequence } = await this.node.machineSecrets.recordTimes(user, announcedDays, context);
      expect(sequence).toBe(log.user(userId).sequence);
    }
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

  #endedOf(userId: string): Set<string> {
    const ended = this.#ended.get(userId);
    if (ended === undefined) throw new Error(`${userId} is none of the users`);
    return ended;
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

const timesOf = ({ secretId, expiresAt, retiresAt }: SecretTimes & { readonly secretId: string }) => ({
  secretId,
  expiresAt,
  retiresAt,
});

function idsOf(secrets: readonly { readonly secretId: string }[]): string[] {
  return secrets.map(({ secretId }) => secretId);
}

/** Whether the process has come through it. */
async function keepTime(service: Service): Promise<boolean> {
  await service.attempt(() => service.node.timekeeper.keepUp());
  if (!(await service.survived())) return false;
  await service.checkTimes();
  return true;
}

class Step implements fc.AsyncCommand<object, Service> {
  readonly #text: string;
  readonly #action: (service: Service) => Promise<unknown>;

  constructor(text: string, action: (service: Service) => Promise<unknown>) {
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

const attempted =
  ({ run }: AnyRequest) =>
  (service: Service) =>
    service.attempt(() => run(service));

const oneRequest = anySecretRequest.map((request) => new Step(request.text, attempted(request)));

const anySteps = fc.commands(
  [
    // Each of these is drawn as often: as many requests as all else.
    ...Array.from({ length: 6 }, () => oneRequest),
    fc
      .array(anySecretRequest, { minLength: 2, maxLength: 4 })
      .map(
        (requests) =>
          new Step(`at once: ${requests.map(({ text }) => text).join(', ')}`, (service) =>
            Promise.all(requests.map((request) => attempted(request)(service))),
          ),
      ),
    anyPolicyRequest.map((request) => new Step(request.text, attempted(request))),
    anyWait.map(
      (seconds) => new Step(`${seconds} seconds pass`, async ({ clock }) => clock.advance(seconds * 1000)),
    ),
    fc.constant(new Step('time is kept', keepTime)),
    fc.record({ append: fc.integer({ min: 1, max: 3 }), isStored: fc.boolean() }).map((death) => {
      const text = `the process will end at append ${death.append}, which is ${death.isStored ? '' : 'not '}stored`;
      return new Step(text, async (service) => service.dieAt(death));
    }),
    fc.constant(new Step('the process ends', async (service) => service.die())),
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
    { numRuns: 25, interruptAfterTimeLimit: 12_000 },
  );
  expect(crashes).toBeGreaterThan(0);
});
