import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { machineUser } from '../../src/domain/aggregates.ts';
import type { ServiceConfig } from '../../src/service.ts';
import { context } from '../support/application.ts';
import { StoreLog } from '../support/eventstoredb/log.ts';
import { EventStoreDbServer } from '../support/eventstoredb/server.ts';
import { eventually } from '../support/eventually.ts';
import { filesThatTell } from '../support/files-that-tell.ts';
import {
  adminToken,
  keyturnClient,
  managementClient,
  type RunningService,
  runningService,
} from '../support/running-service.ts';
import { sharedServer } from '../support/store-places.ts';

const ada = { userName: 'ada.lovelace', name: 'Ada Augusta', description: 'writes notes' };
const personal = Object.values(ada);

/** Two nodes on one event store, both as the admin, and a machine user that both know. */
async function twoNodesWithAda() {
  const { server, config } = await sharedServer();
  const start = (changes: Partial<ServiceConfig> = {}) =>
    runningService({ ...config, checkpointInterval: 3600, ...changes });
  const [one, two] = [await start(), await start()];
  const token = await adminToken(one);
  const clientOf = ({ url }: RunningService) => ({
    call: managementClient(url, token),
    own: keyturnClient(url, token),
  });
  const [onOne, onTwo] = [clientOf(one), clientOf(two)];
  const added = await onOne.call('POST', '/users/machine', ada);
  const { userId } = added.body as { userId: string };
  const seen = (answer: { headers: Headers }) => ({
    'x-keyturn-position': answer.headers.get('x-keyturn-position') ?? '',
  });
  const history = (headers: Record<string, string>) =>
    onTwo.own('GET', `/users/${userId}/history`, undefined, headers);
  expect(JSON.stringify((await history(seen(added))).body)).toContain(ada.name);
  const remove = () => onOne.call('DELETE', `/users/${userId}`);
  const erase = (node = onOne) => node.own('POST', `/users/${userId}/_erase`, {});
  return { server, start, one, two, token, onOne, onTwo, userId, seen, history, remove, erase, config };
}

describe('an erasure on one of two nodes', () => {
  it('is one on the other, in what it shows and in all its files', async () => {
    const { one, two, seen, history, remove, erase } = await twoNodesWithAda();
    await remove();
    const erased = await erase();
    const shown = JSON.stringify((await history(seen(erased))).body);
    expect(shown).toContain(`(erased ${erased.body.erasureDate})`);
    for (const text of personal) expect(shown).not.toContain(text);
    for (const { dataDir } of [one, two]) expect(filesThatTell(dataDir, personal)).toEqual([]);
  });

  it('is told again by the other, with the same date, and is no second one', async () => {
    const { server, onTwo, seen, history, remove, erase } = await twoNodesWithAda();
    await remove();
    const erased = await erase();
    await history(seen(erased));
    expect((await erase(onTwo)).body).toEqual(erased.body);
    const types = server.log.events.map(({ type }) => type);
    expect(types.filter((type) => ['MachineUserErased', 'PersonalKeyDestroyed'].includes(type))).toEqual([
      'MachineUserErased',
      'PersonalKeyDestroyed',
    ]);
  });

  it('overwrites what the other has deleted as soon as nobody reads its file', async () => {
    const { two, seen, history, remove, erase } = await twoNodesWithAda();
    // The read model is saved a little later: saved together with the erasure, the user would never be in the file.
    await eventually(() => expect(filesThatTell(two.dataDir, personal)).not.toEqual([]));
    const reader = new DatabaseSync(join(two.dataDir, 'read-model.db'), { readOnly: true });
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM machine_users').get();
    await remove();
    await history(seen(await erase()));
    expect(filesThatTell(two.dataDir, personal)).not.toEqual([]);
    reader.close();
    await eventually(() => expect(filesThatTell(two.dataDir, personal)).toEqual([]));
  });

  it('is one in the files of a node that was down meanwhile, once it has started', async () => {
    const { start, two, remove, erase } = await twoNodesWithAda();
    await two.service.close();
    expect(filesThatTell(two.dataDir, personal)).not.toEqual([]);
    await remove();
    await erase();
    await start({ dataDir: two.dataDir });
    expect(filesThatTell(two.dataDir, personal)).toEqual([]);
  });

  it('is finished by whichever node starts next, when a crash came between the event and the key', async () => {
    const { server, start, one, two, userId, remove } = await twoNodesWithAda();
    await remove();
    const { organizationId } = one.admin;
    await one.service.commands.execute(machineUser, userId, { type: 'Erase', organizationId }, context);
    const keyEvents = () => server.log.readable(`personalKey-${userId}`)?.map(({ type }) => type);
    expect(keyEvents()).toEqual(['PersonalKeyCreated']);
    await Promise.all([one.service.close(), two.service.close()]);
    // One that meets the erasure in the log before it looks for keys to destroy.
    const { dataDir } = await start();
    expect(keyEvents()).toEqual(['PersonalKeyDestroyed']);
    expect(filesThatTell(dataDir, personal)).toEqual([]);
  });
});

describe('nodes on one event store', () => {
  it('store nothing about users in the clear, but for their addresses', async () => {
    const { server, remove } = await twoNodesWithAda();
    await remove();
    const stored = server.log.events.map(
      ({ stream, data, metadata }) => stream + Buffer.from(data) + Buffer.from(metadata),
    );
    for (const text of personal) expect(stored.filter((event) => event.includes(text))).toEqual([]);
  });

  it('open what was sealed under the master key before a change, and need that no more when it is done', async () => {
    const { start, one, two, userId, token, config } = await twoNodesWithAda();
    await Promise.all([one.service.close(), two.service.close()]);
    const masterKey = new Uint8Array(32).fill(9);
    const dataDir = one.dataDir;
    const changing = await start({ dataDir, masterKey, previousMasterKey: config.masterKey });
    await changing.service.close();
    await expect(start({ dataDir })).rejects.toThrow(/the master key is not the one that/);
    const changed = await start({ masterKey });
    const { body } = await keyturnClient(changed.url, token)('GET', `/users/${userId}/history`);
    expect(body.events[0].changes).toContainEqual({ field: 'name', to: ada.name });
  });

  it('do not start without the keys that the log needs, and make no new ones', async () => {
    const { server, start, one, two } = await twoNodesWithAda();
    await Promise.all([one.service.close(), two.service.close()]);
    const withoutKeys = new StoreLog();
    for (const event of server.log.events) {
      if (/^(personalKey-|\$)/.test(event.stream)) continue;
      withoutKeys.append(event.stream, [event], 'any');
    }
    const other = await EventStoreDbServer.start({ log: withoutKeys });
    onTestFinished(() => other.stop());
    for (let time = 0; time < 2; time++) {
      await expect(start({ eventStore: other.connectionString })).rejects.toThrow(
        /keys of personal fields are missing in the event store: the log needs them/,
      );
    }
    expect(withoutKeys.stream('personalKey-')).toEqual([]);
  });
});
