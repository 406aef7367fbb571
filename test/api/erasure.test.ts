import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test, vi } from 'vitest';
import { CatchUpThread } from '../../src/api/events/catch-up-thread.ts';
import { WrongMasterKeyError } from '../../src/application/master-keys.ts';
import { isIntact, verifyLog } from '../../src/audit/verify-log.ts';
import { machineUser } from '../../src/domain/aggregates.ts';
import type { ServiceConfig } from '../../src/service.ts';
import { context } from '../support/application.ts';
import { writeInTheClear } from '../support/earlier-version.ts';
import { openEventSource } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { filesThatTell } from '../support/files-that-tell.ts';
import {
  type Admin,
  adminToken,
  answerOf,
  managementClient,
  type RunningService,
  runningService,
} from '../support/running-service.ts';
import { storePlaces } from '../support/store-places.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** What nobody may find any more. */
const personal = [
  'ada.lovelace',
  'ada.king',
  'Ada Augusta',
  'Ada Countess',
  'writes notes',
  'counts numbers',
];
const [userName, newUserName, name, newName, description, newDescription] = personal as [string, ...string[]];

/** A service with a machine user that has been renamed, changed and, unless told not to, removed. */
async function serviceWithAda(options: Partial<ServiceConfig> = {}, isRemoved = true) {
  const running = await runningService({ ...options, checkpointInterval: 3600 });
  const token = await adminToken(running);
  const call = managementClient(running.url, token);
  const { body } = await call('POST', '/users/machine', { userName, name, description });
  const { userId } = body as { userId: string };
  await call('PUT', `/users/${userId}/machine`, { name: newName, description: newDescription });
  await call('PUT', `/users/${userId}/username`, { userName: newUserName });
  await call('PUT', `/users/${userId}/secret`, {});
  if (isRemoved) await call('DELETE', `/users/${userId}`);
  const own = (method: string, path: string) => ownCall(running, token, method, path);
  return { running, token, call, userId, own, erase: () => own('POST', `/users/${userId}/_erase`) };
}

async function ownCall({ url }: RunningService, token: string, method: string, path: string) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = method === 'POST' ? { body: '{}' } : {};
  return answerOf(await fetch(`${url}/keyturn/v1${path}`, { method, headers, ...body }));
}

describe.each(storePlaces)('the erasure of a machine user on $name', ({ newPlace, isShared }) => {
  it('leaves no byte of its personal fields in the data directory', async () => {
    const { running, erase } = await serviceWithAda((await newPlace()).config);
    expect(await erase()).toMatchObject({
      status: 200,
      body: {
        sequence: '6',
        erasureDate: expect.stringMatching(/^20/),
        ...(isShared && { needsScavenge: true }),
      },
    });
    expect(filesThatTell(running.dataDir, personal)).toEqual([]);
  });

  it('finds them before, where the search for bytes looks', async () => {
    const { running } = await serviceWithAda((await newPlace()).config, false);
    // Then all of the read model is in its file.
    await running.service.close();
    const found = filesThatTell(running.dataDir, [newUserName as string, newName as string]);
    expect(found.join()).toContain('read-model.db');
    expect(found.filter((file) => file.startsWith('events.db'))).toEqual([]);
  });

  it('shows in its history that something was there, and since when it is erased', async () => {
    const { userId, own, erase } = await serviceWithAda((await newPlace()).config);
    const before = (await own('GET', `/users/${userId}/history`)).body.events;
    const { erasureDate } = (await erase()).body;
    const events = (await own('GET', `/users/${userId}/history`)).body.events;
    const shown = (type: string) => events.find((event: { type: string }) => event.type === type);
    const erased = `(erased ${erasureDate})`;
    expect(shown('MachineUserAdded').changes).toContainEqual({ field: 'userName', to: erased });
    expect(shown('MachineUserNameChanged').changes).toEqual([
      { field: 'userName', from: erased, to: erased },
    ]);
    expect(shown('MachineUserErased')).toMatchObject({ sequence: '6', time: erasureDate });
    expect(events.slice(0, -1).map(withoutChanges)).toEqual(before.map(withoutChanges));
    const position = shown('MachineUserAdded').position;
    const asOf = await own('GET', `/users/${userId}/as-of?moment=${position}`);
    expect(asOf.body.user).toMatchObject({
      userName: erased,
      name: erased,
      description: erased,
    });
  });

  it('changes no stored event: the log is intact, and so are the checkpoints of before', async () => {
    const { config, open } = await newPlace();
    const { running, erase } = await serviceWithAda(config);
    await erase();
    await running.service.close();
    const log = open(running.dataDir);
    const treeFolder = join(running.dataDir, 'log-tree');
    expect(isIntact(await verifyLog({ eventStore: log, treeFolder }))).toBe(true);
    await log.close();
  });

  it('holds for subscribers that catch up later', async () => {
    const { running, token, userId, erase } = await serviceWithAda((await newPlace()).config);
    const { erasureDate } = (await erase()).body;
    const stream = openEventSource(`${running.url}/keyturn/v1/events?after=0&user=${userId}`, () => token);
    await eventually(() => expect(stream.events.at(-1)?.type).toBe('keyturn.v1.MachineUserErased'));
    const added = stream.events.find(({ type }) => type === 'keyturn.v1.MachineUserAdded');
    expect(added?.data).toMatchObject({ userId, name: `(erased ${erasureDate})` });
    expect(JSON.stringify(stream.events)).not.toMatch(/Ada|ada\./);
  });

  it('holds for the read model when it is built anew, also where several users are erased', async () => {
    const options = { ...(await newPlace()).config, dataDir: temporaryFolder() };
    const { dataDir } = options;
    const { running, call, own, erase } = await serviceWithAda(options);
    const { body } = await call('POST', '/users/machine', { userName, name, description });
    await call('DELETE', `/users/${body.userId}`);
    await own('POST', `/users/${body.userId}/_erase`);
    await erase();
    await running.service.close();
    rmSync(join(dataDir, 'read-model.db'));
    await runningService(options);
    expect(filesThatTell(dataDir, personal)).toEqual([]);
  });

  it('is done once, and tells the same date again', async () => {
    const { erase } = await serviceWithAda((await newPlace()).config);
    const first = await erase();
    expect((await erase()).body).toEqual(first.body);
  });

  it('is finished at the next start, when a crash came between the event and the key', async () => {
    const options = { ...(await newPlace()).config, dataDir: temporaryFolder() };
    const { running, userId } = await serviceWithAda(options);
    const { organizationId } = running.admin;
    // What is stored of an erasure whose process ends before it destroys the key.
    await running.service.commands.execute(machineUser, userId, { type: 'Erase', organizationId }, context);
    await running.service.close();
    const again = await runningService(options);
    const events = (await ownCall(again, await adminToken(again), 'GET', `/users/${userId}/history`)).body
      .events;
    expect(JSON.stringify(events)).not.toMatch(/Ada|ada\./);
    expect(events[0].changes).toContainEqual({
      field: 'name',
      to: `(erased ${events.at(-1).time})`,
    });
  });

  it('leaves the user name free for another user, and does not tell who had it', async () => {
    const { call, erase } = await serviceWithAda((await newPlace()).config);
    await erase();
    expect(await call('POST', '/users/machine', { userName: newUserName, name })).toMatchObject({
      status: 200,
    });
  });

  it('is refused for a user that is still there, for one that never was, and of another organization', async () => {
    const { own, erase } = await serviceWithAda((await newPlace()).config, false);
    expect(await erase()).toMatchObject({
      status: 400,
      body: { message: 'only a user that was removed can be erased (KEYTURN-NotRemoved)' },
    });
    expect(await own('POST', '/users/none/_erase')).toMatchObject({ status: 404 });
  });

  it('needs the permission user.erase, which managers of users have not', async () => {
    const { running, call, userId } = await serviceWithAda((await newPlace()).config);
    const added = await call('POST', '/users/machine', { userName: 'manager', name: 'Manager' });
    await call('POST', '/orgs/me/members', { userId: added.body.userId, roles: ['ORG_USER_MANAGER'] });
    const { body } = await call('PUT', `/users/${added.body.userId}/secret`, {});
    const token = await adminToken({ ...running, admin: { ...running.admin, ...body } });
    expect(await ownCall(running, token, 'POST', `/users/${userId}/_erase`)).toMatchObject({ status: 403 });
  });
});

function withoutChanges({ changes: _, ...event }: { readonly changes: unknown }) {
  return event;
}

describe.each(storePlaces)('a log that Keyturn 0.1 wrote, on $name', ({ newPlace }) => {
  async function logInTheClear() {
    const { config, open } = await newPlace();
    const dataDir = temporaryFolder();
    const log = open(dataDir, { readOnly: false });
    const { admin, userIds } = await writeInTheClear(log, config.masterKey, ['grace.hopper', 'ada.lovelace']);
    await log.close();
    return { options: { ...config, dataDir }, admin, userIds: userIds as [string, string], open };
  }

  async function start(options: Partial<ServiceConfig>, admin: Admin) {
    const running = await runningService({ ...options, checkpointInterval: 3600 });
    const token = await adminToken({ url: running.url, admin } as RunningService);
    const own = (method: string, path: string) => ownCall(running, token, method, path);
    return { running, call: managementClient(running.url, token), own };
  }

  it('is read as it is, what comes is sealed, and an erasure tells how much stays in the clear', async () => {
    const { options, admin, userIds, open } = await logInTheClear();
    const [, userId] = userIds;
    const { running, call, own } = await start(options, admin);
    expect((await call('GET', `/users/${userId}`)).body.user.userName).toBe('ada.lovelace');
    const renamed = { name: newName, description: newDescription };
    expect(await call('PUT', `/users/${userId}/machine`, renamed)).toMatchObject({ status: 200 });
    expect(await call('DELETE', `/users/${userId}`)).toMatchObject({ status: 200 });
    const { body } = await own('POST', `/users/${userId}/_erase`);
    expect(body).toMatchObject({ eventsInTheClear: 1, erasureDate: expect.stringMatching(/^20/) });
    const { events } = (await own('GET', `/users/${userId}/history`)).body;
    const erased = `(erased ${body.erasureDate})`;
    expect(events[0].changes).toContainEqual({ field: 'userName', to: 'ada.lovelace' });
    expect(events[1].changes).toContainEqual(expect.objectContaining({ field: 'name', to: erased }));
    await running.service.close();
    const log = open(options.dataDir);
    const stored = JSON.stringify(
      await Array.fromAsync(log.readStream(`machineUser-${userId}`)),
      withoutBigints,
    );
    expect(stored).toContain('Name of ada.lovelace');
    expect(stored).not.toContain(newName);
    await log.close();
  });

  it('refuses to erase a user of whom nothing was ever sealed, and changes nothing about it', async () => {
    const { options, admin, userIds } = await logInTheClear();
    const [userId] = userIds;
    const { call, own } = await start(options, admin);
    await call('DELETE', `/users/${userId}`);
    const before = (await own('GET', `/users/${userId}/history`)).body.events;
    expect(await own('POST', `/users/${userId}/_erase`)).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining('(KEYTURN-NotSealed)') },
    });
    expect((await own('GET', `/users/${userId}/history`)).body.events).toEqual(before);
  });

  it('takes no harm from a start under another master key', async () => {
    const { options, admin } = await logInTheClear();
    const wrong = { ...options, masterKey: new Uint8Array(32).fill(8) };
    for (let time = 0; time < 2; time++) {
      await expect(runningService(wrong)).rejects.toThrow(WrongMasterKeyError);
    }
    const { call, own } = await start(options, admin);
    const profile = { userName: newUserName, name, description };
    const { userId } = (await call('POST', '/users/machine', profile)).body;
    await call('DELETE', `/users/${userId}`);
    expect(await own('POST', `/users/${userId}/_erase`)).toMatchObject({ status: 200 });
  });
});

function withoutBigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

test('an erasure drops what was made for readers that are far behind', async () => {
  const { erase } = await serviceWithAda();
  const forget = vi.spyOn(CatchUpThread.prototype, 'forget');
  onTestFinished(() => forget.mockRestore());
  expect((await erase()).status).toBe(200);
  expect(forget).toHaveBeenCalledOnce();
});
