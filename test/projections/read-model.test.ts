import { copyFileSync, existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { rowDifferences } from '../../src/audit/replay/row-differences.ts';
import {
  accessToken,
  instance,
  instanceId,
  machineUser,
  organization,
  webhook,
} from '../../src/domain/aggregates.ts';
import { secretIdOf } from '../../src/domain/machine-secret.ts';
import type { EventStore, JsonObject, RecordedEvent } from '../../src/eventstore/event-store.ts';
import { headOf } from '../../src/eventstore/head.ts';
import { openSqliteEventStore } from '../../src/eventstore/sqlite/sqlite-event-store.ts';
import { Projector } from '../../src/projections/projector.ts';
import { ReadModel } from '../../src/projections/read-model.ts';
import { closedAfterTest } from '../contract/event-store.contract.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';
import { newEvent } from '../support/new-event.ts';
import { openReadModel } from '../support/read-model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Builds a read model from the store until it has caught up. */
async function project(eventStore: EventStore, file: string) {
  const readModel = await openReadModel(file, eventStore);
  const apply = vi.spyOn(readModel, 'apply');
  const projector = new Projector({ eventStore, readModel, clock: () => new Date() });
  projector.start();
  const close = async () => {
    await projector.stop();
    readModel.close();
  };
  onTestFinished(close);
  await projector.caughtUp;
  const applied = () => apply.mock.calls.flatMap(([events]) => events).length;
  return { readModel, projector, close, applied, queries: readModel.queries };
}

/** Every row of every table. */
function contentOf(file: string): Record<string, unknown[]> {
  const db = new DatabaseSync(file, { readOnly: true });
  const tables = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).all();
  const content = Object.fromEntries(
    tables.map(({ name }) => [String(name), db.prepare(`SELECT * FROM ${name} ORDER BY 1, 2`).all()]),
  );
  db.close();
  return content;
}

/** A store with something in every table. */
async function eventfulStore(): Promise<EventStore> {
  const store = emptyStore();
  const { commands, machineUsers } = node(store);
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'ACME' }, context);
  const plan = { projectId: 'p', organizationId, adminUserId: 'admin' };
  await commands.execute(instance, instanceId, { type: 'StartSetUp', ...plan }, context);
  const key = {
    keyId: 'k',
    algorithm: 'ES256',
    publicKey: { kty: 'EC' },
    encryptedPrivateKey: 'jwe',
  } as const;
  await commands.execute(instance, instanceId, { type: 'AddSigningKey', after: undefined, ...key }, context);
  for (const aggregate of [instance, organization]) {
    const roles = [aggregate === instance ? 'IAM_OWNER' : 'ORG_OWNER'];
    const id = aggregate === instance ? instanceId : organizationId;
    for (const userId of ['a', 'b']) {
      await commands.execute(aggregate as typeof instance, id, { type: 'AddMember', userId, roles }, context);
    }
    await commands.execute(aggregate as typeof instance, id, { type: 'RemoveMember', userId: 'b' }, context);
  }
  for (const name of ['one', 'two', 'three']) {
    const { userId } = await machineUsers.add({ ...robot, userId: name, userName: name }, context);
    await machineUsers.setSecret({ userId, organizationId }, context);
  }
  await machineUsers.setSecret({ userId: 'one', organizationId }, context);
  await machineUsers.removeSecret({ userId: 'two', organizationId }, context);
  await machineUsers.deactivate({ userId: 'two', organizationId }, context);
  await commands.execute(machineUser, 'three', { type: 'Remove', organizationId }, context);
  await commands.execute(machineUser, 'three', { type: 'Erase', organizationId }, context);
  const expiresAt = '2026-01-02T04:04:05.000Z';
  const addKey = { type: 'AddKey', organizationId, publicKey: 'pem', expiresAt } as const;
  await commands.execute(machineUser, 'one', { ...addKey, keyId: 'k1' }, context);
  await commands.execute(machineUser, 'one', { ...addKey, keyId: 'k2' }, context);
  await commands.execute(machineUser, 'one', { type: 'RemoveKey', organizationId, keyId: 'k2' }, context);
  await commands.execute(accessToken, 'token', { type: 'Revoke', userId: 'one', expiresAt }, context);
  const target = { url: 'https://a.example/', types: [], userId: '', description: '' };
  const secret = { secretId: 's', encryptedSecret: 'jwe' };
  const add = { type: 'AddWebhook', organizationId, ...target, ...secret } as const;
  await commands.execute(webhook, 'w1', add, context);
  await commands.execute(webhook, 'w2', add, context);
  await commands.execute(webhook, 'w2', { type: 'RemoveWebhook', organizationId }, context);
  const rotate = {
    type: 'RotateWebhookSecret',
    organizationId,
    previousUntil: '2026-01-02T03:04:05.678Z',
  } as const;
  await commands.execute(webhook, 'w1', { ...rotate, ...secret, secretId: 's2' }, context);
  return store;
}

test('a user is shown as its events left it', async () => {
  const store = emptyStore();
  const { commands, machineUsers, clock } = node(store);
  const { queries, projector } = await project(store, join(temporaryFolder(), 'read-model.db'));
  const { userId } = await machineUsers.add({ ...robot, userName: 'Robot' }, context);
  const creationDate = clock.now.toISOString();
  clock.advance(1000);
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  const change = { ...robot, type: 'ChangeMachineUser', name: 'Robo', accessTokenType: 'jwt' } as const;
  await commands.execute(machineUser, userId, change, context);
  await commands.execute(machineUser, userId, { type: 'Lock', organizationId }, context);
  await commands.execute(
    machineUser,
    userId,
    { type: 'ChangeUserName', organizationId, userName: 'Welder' },
    context,
  );
  await projector.waitFor(await headOf(store));

  expect(queries.machineUserById(userId)).toEqual({
    userId,
    organizationId,
    userName: 'Welder',
    name: 'Robo',
    description: '',
    accessTokenType: 'jwt',
    state: 'locked',
    hasSecret: true,
    sequence: 5n,
    creationDate,
    changeDate: clock.now.toISOString(),
  });
  const secretId = secretIdOf(clientSecret) ?? '';
  expect(queries.clientBySecretId(secretId)).toMatchObject({
    account: {
      userId,
      organizationId,
      userName: 'Welder',
      accessTokenType: 'jwt',
      tokenEpoch: 4,
      isActive: false,
    },
    secret: { secretId, hashedSecret: expect.stringMatching(/^\$2b\$04\$/) },
  });
  expect(queries.organizationOfActiveUser(userId)).toBeUndefined();
});

test('how one signs in is known anew after every event that concerns it', async () => {
  const store = emptyStore();
  const { commands, machineUsers } = node(store);
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'ACME' }, context);
  const { userId } = await machineUsers.add(robot, context);
  const user = { userId, organizationId };
  const { clientSecret } = await machineUsers.setSecret(user, context);
  const secretId = secretIdOf(clientSecret) ?? '';
  const { queries, projector } = await project(store, join(temporaryFolder(), 'read-model.db'));
  const expiresAt = '2030-01-01T00:00:00.000Z';
  const changes: (() => Promise<unknown>)[] = [
    () => machineUsers.deactivate(user, context),
    () => machineUsers.reactivate(user, context),
    () => commands.execute(organization, organizationId, { type: 'Deactivate' }, context),
    () => commands.execute(organization, organizationId, { type: 'Reactivate' }, context),
    () => commands.execute(machineUser, userId, { type: 'EndTokens', organizationId }, context),
    () =>
      commands.execute(
        machineUser,
        userId,
        { type: 'ChangeSecretExpiry', organizationId, secretId, expiresAt },
        context,
      ),
    () => machineUsers.setSecret(user, context),
  ];
  for (const change of changes) {
    const before = queries.clientBySecretId(secretId);
    expect(before).toBeDefined();
    await change();
    await projector.waitFor(await headOf(store));
    const { queries: anew } = await project(store, join(temporaryFolder(), 'read-model.db'));
    expect(queries.clientBySecretId(secretId)).toEqual(anew.clientBySecretId(secretId));
    expect(queries.clientBySecretId(secretId)).not.toEqual(before);
  }
  expect(queries.clientBySecretId(secretId)).toBeUndefined();
});

test('what a user and its token may do is known anew after every event that concerns it', async () => {
  const store = await eventfulStore();
  const { commands, machineUsers } = node(store);
  const userId = 'one';
  const user = { userId, organizationId };
  const { queries, projector } = await project(store, join(temporaryFolder(), 'read-model.db'));
  const standing = ({ queries: asked }: { queries: typeof queries }) => ({
    organization: asked.organizationOfActiveUser(userId),
    exists: ['another', organizationId, 'beta'].map((id) => asked.organizationExists(id)),
    roles: [asked.rolesOf(userId, organizationId), asked.rolesInInstance(userId)],
    tokens: ['token', 'token2'].map((tokenId) => asked.tokenStanding(tokenId, userId)),
  });
  const member = (type: 'AddMember' | 'ChangeMember', role: string) => ({ type, userId, roles: [role] });
  const ofOrganization = (command: Parameters<typeof organization.decider.decide>[0], id = organizationId) =>
    commands.execute(organization, id, command, context);
  const ofInstance = (command: Parameters<typeof instance.decider.decide>[0]) =>
    commands.execute(instance, instanceId, command, context);
  const expiresAt = '2030-01-02T04:04:05.000Z';
  const changes: (() => Promise<unknown>)[] = [
    () => ofOrganization(member('AddMember', 'ORG_OWNER')),
    () => ofInstance(member('AddMember', 'IAM_OWNER')),
    () => ofOrganization(member('ChangeMember', 'ORG_OWNER_VIEWER')),
    () => ofInstance(member('ChangeMember', 'IAM_OWNER_VIEWER')),
    () => ofOrganization({ type: 'RemoveMember', userId }),
    () => ofInstance({ type: 'RemoveMember', userId }),
    () => commands.execute(accessToken, 'token2', { type: 'Revoke', userId, expiresAt }, context),
    () => machineUsers.endTokens(user, context),
    () => ofOrganization({ type: 'Deactivate' }),
    () => ofOrganization({ type: 'Reactivate' }),
    () => machineUsers.deactivate(user, context),
    () => machineUsers.reactivate(user, context),
    () => ofOrganization({ type: 'AddOrganization', name: 'Beta' }, 'beta'),
    () => machineUsers.remove(user, context),
  ];
  for (const change of changes) {
    const before = standing({ queries });
    await change();
    await projector.waitFor(await headOf(store));
    expect(standing({ queries })).toEqual(standing(await project(store, join(temporaryFolder(), 'anew.db'))));
    expect(standing({ queries })).not.toEqual(before);
  }
});

test('roles add up over the instance and the organization, and end with the membership', async () => {
  const store = await eventfulStore();
  const { queries } = await project(store, join(temporaryFolder(), 'read-model.db'));
  expect(queries.rolesOf('a', organizationId).toSorted()).toEqual(['IAM_OWNER', 'ORG_OWNER']);
  expect(queries.rolesOf('a', 'another')).toEqual(['IAM_OWNER']);
  expect(queries.rolesOf('b', organizationId)).toEqual([]);
});

test('deleted, the read model is built anew to the same content', async () => {
  const store = await eventfulStore();
  const file = join(temporaryFolder(), 'read-model.db');
  await (await project(store, file)).close();
  const before = contentOf(file);
  for (const [table, rows] of Object.entries(before)) expect([table, rows.length]).not.toEqual([table, 0]);

  rmSync(file);
  await (await project(store, file)).close();
  expect(contentOf(file)).toEqual(before);
});

test('what is of no use any more is not kept', async () => {
  const store = emptyStore();
  const { commands, machineUsers, clock } = node(store);
  await machineUsers.add({ ...robot, userId: 'one' }, context);
  for (const tokenId of ['first', 'second', 'third']) {
    const expiresAt = new Date(clock.now.getTime() + 60_000).toISOString();
    await commands.execute(accessToken, tokenId, { type: 'Revoke', userId: 'one', expiresAt }, context);
    clock.advance(45_000);
  }
  const target = { url: 'https://a.example/', types: [], userId: '', description: '' };
  const encrypted = { organizationId, encryptedSecret: 'jwe' };
  for (const webhookId of ['kept', 'removed']) {
    const add = { type: 'AddWebhook', ...target, ...encrypted, secretId: 's1' } as const;
    await commands.execute(webhook, webhookId, add, context);
    const rotate = {
      type: 'RotateWebhookSecret',
      ...encrypted,
      previousUntil: '2030-01-01T00:00:00.000Z',
    } as const;
    for (const secretId of ['s2', 's3']) {
      await commands.execute(webhook, webhookId, { ...rotate, secretId }, context);
    }
  }
  await commands.execute(webhook, 'removed', { type: 'RemoveWebhook', organizationId }, context);
  const file = join(temporaryFolder(), 'read-model.db');
  await (await project(store, file)).close();
  const { revoked_access_tokens: tokens, webhook_secrets: secrets } = contentOf(file);
  expect(tokens).toMatchObject([{ token_id: 'second' }, { token_id: 'third' }]);
  expect(secrets).toMatchObject([
    { webhook_id: 'kept', secret_id: 's2' },
    { webhook_id: 'kept', secret_id: 's3' },
  ]);
});

test('it goes on from its checkpoint', async () => {
  const store = await eventfulStore();
  const file = join(temporaryFolder(), 'read-model.db');
  await (await project(store, file)).close();
  await node(store).machineUsers.add({ ...robot, userName: 'four' }, context);
  expect((await project(store, file)).applied()).toBe(2);
});

test('rows and checkpoint are written together or not at all', async () => {
  const store = emptyStore();
  const file = join(temporaryFolder(), 'read-model.db');
  const readModel = await openReadModel(file, store);
  onTestFinished(() => readModel.close());
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  const [claimed, added] = await Array.fromAsync(store.readAll());
  if (claimed === undefined || added === undefined) throw new Error('two events expected');
  const unreadable = { ...added, stream: 'machineUser-two', data: { nonsense: true } };
  expect(() => readModel.apply([claimed, added, unreadable])).toThrow(/does not fit its schema/);
  expect(readModel.checkpoint()).toBeUndefined();
  expect(readModel.queries.machineUserById('one')).toBeUndefined();
  readModel.apply([claimed, added]);
  expect(readModel.checkpoint()).toMatchObject({ position: added.position, eventId: added.id });
});

test('a batch that fails takes nothing with it of those before it, saved or not', async () => {
  const store = emptyStore();
  const file = join(temporaryFolder(), 'read-model.db');
  const readModel = await openReadModel(file, store);
  onTestFinished(() => readModel.close());
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  const [claimed, added] = await Array.fromAsync(store.readAll());
  if (claimed === undefined || added === undefined) throw new Error('two events expected');
  await node(store).machineUsers.add({ ...robot, userId: 'two', userName: 'two' }, context);
  const next = await Array.fromAsync(store.readAll({ after: added.position }));
  const seenElsewhere = () => {
    const snapshot = ReadModel.snapshot(file);
    const user = snapshot?.queries.machineUserById('one');
    snapshot?.close();
    return user?.userId;
  };
  readModel.holdOpen();
  readModel.apply([claimed, added]);
  const addedTwice = { ...added, position: added.position + 1n };
  expect(() => readModel.apply([addedTwice])).toThrow(/UNIQUE/);
  expect(readModel.checkpoint()?.position).toBe(added.position);
  expect(readModel.queries.machineUserById('one')).toBeDefined();
  expect(seenElsewhere()).toBeUndefined();
  readModel.save();
  expect(seenElsewhere()).toBe('one');
  // Nothing of it is left for the next one either.
  readModel.apply(next);
  expect(readModel.queries.machineUserById('two')).toBeDefined();
});

test('other processes see soon what is projected, and a close saves the rest', async () => {
  const store = emptyStore();
  const file = join(temporaryFolder(), 'read-model.db');
  const { projector, close } = await project(store, file);
  const savedPosition = () => {
    const snapshot = ReadModel.snapshot(file);
    const position = snapshot?.checkpoint()?.position;
    snapshot?.close();
    return position;
  };
  const { machineUsers } = node(store);
  for (let index = 0; index < 20; index++) {
    await machineUsers.add({ ...robot, userName: `robot-${index}` }, context);
  }
  const head = await headOf(store);
  await projector.waitFor(head);
  await vi.waitFor(() => expect(savedPosition()).toBe(head), 5000);
  for (let index = 20; index < 25; index++) {
    await machineUsers.add({ ...robot, userName: `robot-${index}` }, context);
  }
  await projector.waitFor(await headOf(store));
  await close();
  expect(savedPosition()).toBe(await headOf(store));
});

test('a projector that cannot save stops, and is not ready any more', async () => {
  const store = emptyStore();
  const { readModel, projector } = await project(store, join(temporaryFolder(), 'read-model.db'));
  vi.spyOn(readModel, 'save').mockImplementation(() => {
    throw new Error('database or disk is full');
  });
  await node(store).machineUsers.add(robot, context);
  await expect(projector.finished()).rejects.toThrow('database or disk is full');
  expect(projector.isReady).toBe(false);
});

test('nothing is applied after what could not be saved and is lost', async () => {
  const store = emptyStore();
  const readModel = await openReadModel(join(temporaryFolder(), 'read-model.db'), store);
  onTestFinished(() => readModel.close());
  await node(store).machineUsers.add({ ...robot, userId: 'one' }, context);
  const [claimed, added] = await Array.fromAsync(store.readAll());
  if (claimed === undefined || added === undefined) throw new Error('two events expected');
  readModel.holdOpen();
  readModel.apply([claimed]);
  // As SQLite does on a full disk: the transaction has ended when the error is told.
  const exec = vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementationOnce(function (this: DatabaseSync) {
    this.prepare('ROLLBACK').run();
    throw new Error('database or disk is full');
  });
  onTestFinished(() => exec.mockRestore());
  expect(() => readModel.dropTraces()).toThrow('database or disk is full');
  for (let time = 0; time < 2; time++) expect(() => readModel.apply([added])).toThrow(/is lost/);
  expect(readModel.checkpoint()).toBeUndefined();
});

test.each([
  ['damaged', (file: string) => writeFileSync(file, 'not a database'.repeat(1000))],
  [
    'of another version',
    (file: string) => {
      const db = new DatabaseSync(file);
      db.exec('PRAGMA user_version = 999');
      db.close();
    },
  ],
])('it is built anew when its file is %s', async (_, spoil) => {
  const store = await eventfulStore();
  const file = join(temporaryFolder(), 'read-model.db');
  await (await project(store, file)).close();
  const before = contentOf(file);
  spoil(file);
  await (await project(store, file)).close();
  expect(contentOf(file)).toEqual(before);
});

test('it is built anew when the log is another one, or an older copy of it', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'read-model.db');
  const logFile = join(folder, 'events.db');
  const first = openSqliteEventStore({ file: logFile });
  await node(first).machineUsers.add({ ...robot, userId: 'one', userName: 'one' }, context);
  await first.close();
  copyFileSync(logFile, join(folder, 'backup.db'));

  const second = openSqliteEventStore({ file: logFile });
  await node(second).machineUsers.add({ ...robot, userId: 'two', userName: 'two' }, context);
  await (await project(second, file)).close();
  await second.close();

  const restored = closedAfterTest(openSqliteEventStore({ file: join(folder, 'backup.db') }));
  const { queries } = await project(restored, file);
  expect(queries.machineUserById('one')).toBeDefined();
  expect(queries.machineUserById('two')).toBeUndefined();
});

test('its file can be read by its owner only', async () => {
  const file = join(temporaryFolder(), 'read-model.db');
  await project(emptyStore(), file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(existsSync(`${file}-wal`)).toBe(true);
});

test('whoever waits for a position sees what stands there', async () => {
  const store = emptyStore();
  const { projector, queries } = await project(store, join(temporaryFolder(), 'read-model.db'));
  const { machineUsers } = node(store);
  for (let count = 0; count < 20; count++) {
    const { userId } = await machineUsers.add({ ...robot, userName: `robot-${count}` }, context);
    const [last] = await Array.fromAsync(store.readAll({ direction: 'backwards', limit: 1 }));
    await projector.waitFor(last?.position ?? 0n);
    expect(queries.machineUserById(userId)).toBeDefined();
  }
});

test('an event of a type that is not known stops the projector before it: a newer version wrote it', async () => {
  const store = emptyStore();
  const { readModel, projector } = await project(store, join(temporaryFolder(), 'read-model.db'));
  await store.append('machineUser-1', [newEvent('any', 'MachineUserFrozen')], 'any');
  await expect(projector.finished()).rejects.toThrow('MachineUserFrozen');
  expect(readModel.checkpoint()).toBeUndefined();
});

test('an event that cannot be read stops the projector, and nobody waits for it in vain', async () => {
  const store = emptyStore();
  const readModel = await openReadModel(join(temporaryFolder(), 'read-model.db'), store);
  const projector = new Projector({ eventStore: store, readModel, clock: () => new Date() });
  projector.start();
  await projector.caughtUp;
  expect(projector.isReady).toBe(true);
  const metadata = { schemaVersion: 99 };
  const { position } = await store.append(
    'machineUser-1',
    [{ ...newEvent('any', 'MachineUserAdded'), metadata }],
    'any',
  );
  await expect(projector.waitFor(position)).rejects.toMatchObject({
    code: 'READ_MODEL_BEHIND',
    httpStatus: 503,
  });
  await expect(projector.finished()).rejects.toThrow(/no readable metadata/);
  expect(projector.isReady).toBe(false);
  readModel.close();
});

const time = '2026-01-02T03:04:05.678Z';

/** What may happen to a user, by the secrets that it was given before. */
const happenings: Readonly<Record<string, (secretId: string, one: string | undefined) => JsonObject>> = {
  MachineSecretSet: (secretId, one) => ({
    secretId,
    hashedSecret: 'hash',
    replacedSecretIds: one === undefined ? [] : [one],
  }),
  MachineSecretRehashed: (_, one = '-') => ({ secretId: one, hashedSecret: 'another' }),
  MachineSecretExpiryChanged: (_, one = '-') => ({ secretId: one, expiresAt: time }),
  MachineSecretExpired: (_, one = '-') => ({ secretId: one, expiredAt: time }),
  MachineSecretRemoved: (_, one = '-') => ({ secretIds: [one] }),
  MachineSecretUsed: (_, one = '-') => ({ secretId: one }),
  MachineSecretCheckFailed: () => ({ count: 2 }),
  MachineUserChanged: (secretId) => ({ name: `Robot ${secretId}` }),
  MachineUserNameChanged: (secretId) => ({ userName: `robot-${secretId}` }),
  MachineUserLocked: () => ({}),
  MachineTokensEnded: () => ({}),
  MachineUserRemoved: () => ({}),
};

/** A log in which all that may happen does, to users that are added when they are not there. */
function logOf(steps: readonly (readonly [type: string, user: number, secret: number])[]): RecordedEvent[] {
  const log: RecordedEvent[] = [];
  const present = new Map<string, string[]>();
  const record = (type: string, userId: string, data: JsonObject) => {
    const position = BigInt(log.length + 1);
    log.push({
      ...{
        stream: `machineUser-${userId}`,
        revision: position - 1n,
        position,
        id: `event-${position}`,
        type,
      },
      ...{ data, metadata: metadataOf(type), recordedAt: new Date(time) },
    });
  };
  for (const [index, [type, user, secret]] of steps.entries()) {
    const userId = `user-${user}`;
    const secrets = present.get(userId);
    if (secrets === undefined) {
      present.set(userId, []);
      record('MachineUserAdded', userId, { ...robot, userName: `robot-of-${userId}-${index}` });
    } else {
      record(type, userId, happenings[type]?.(`${index}`, secrets[secret % (secrets.length || 1)]) ?? {});
      if (type === 'MachineSecretSet') secrets.push(`${index}`);
      if (type === 'MachineUserRemoved') present.delete(userId);
    }
  }
  return log;
}

function metadataOf(type: string): JsonObject {
  const ids = { $correlationId: 'test', $causationId: 'test', previousHash: null };
  return { schemaVersion: type === 'MachineSecretSet' ? 2 : 1, occurredAt: time, editor: null, ...ids };
}

test('events of one transaction leave the rows that they leave one by one', () => {
  const step = fc.tuple(fc.constantFrom(...Object.keys(happenings)), fc.nat(1), fc.nat(5));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const [together, oneByOne] = [ReadModel.temporary(), ReadModel.temporary()];
      const log = logOf(steps);
      together.apply(log);
      for (const event of log) oneByOne.apply([event]);
      expect([...rowDifferences(together.tables(), oneByOne.tables())]).toEqual([]);
      together.close();
      oneByOne.close();
    }),
  );
});
