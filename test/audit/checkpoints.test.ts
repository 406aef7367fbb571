import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { appendFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { openCheckpointKey } from '../../src/application/checkpoint-keys.ts';
import { MasterKeys } from '../../src/application/master-keys.ts';
import { AuditError } from '../../src/audit/audit-error.ts';
import { openCheckpoint } from '../../src/audit/checkpoints/checkpoint.ts';
import { CheckpointKeeper, LogRewrittenError } from '../../src/audit/checkpoints/checkpoint-keeper.ts';
import { findEvent, proveInclusion, verifyInclusion } from '../../src/audit/checkpoints/inclusion-proof.ts';
import { verifierOfLog } from '../../src/audit/checkpoints/log-verifier.ts';
import {
  formatVerifierKey,
  openNote,
  parseVerifierKey,
  signNote,
} from '../../src/audit/checkpoints/signed-note.ts';
import { isIntact, verifyLog } from '../../src/audit/verify-log.ts';
import { context, organizationId } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';

const masterKeys = new MasterKeys(new Uint8Array(32).fill(1));
const user = { userId: 'one', organizationId };

async function signedLog() {
  const log = await auditedLog();
  const key = await openCheckpointKey(log.commands, masterKeys, 'keyturn/test');
  const openKeeper = () => {
    const keeper = new CheckpointKeeper({ eventStore: log.eventStore, treeFolder: log.treeFolder, key });
    onTestFinished(() => keeper.stop());
    return keeper;
  };
  const keeper = openKeeper();
  await keeper.advance();
  return { ...log, key, keeper, openKeeper };
}

const textOf = (keeper: CheckpointKeeper): string => keeper.current() ?? '';

test('where the event that names the key cannot be read, that is told, and that nothing can be compared', async () => {
  const log = await signedLog();
  log.tamper(`UPDATE events SET data = '{' WHERE type = 'CheckpointKeyAdded'`);
  expect(await verifyLog(log)).toMatchObject({
    fault: { kind: 'unreadable', stream: 'checkpointKey-keyturn' },
    treeFault: expect.stringContaining('cannot be compared'),
    checkpoints: [{ fault: expect.stringContaining('no key') }],
  });
});

describe('a signed note', () => {
  // The example of c2sp.org/signed-note.
  const key = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
  const note =
    'This is an example message.\n\n' +
    '— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';

  it('of another implementation is understood', () => {
    const verifier = parseVerifierKey(key);
    expect(formatVerifierKey(verifier)).toBe(key);
    expect(openNote(note, verifier)).toBe('This is an example message.\n');
  });

  it('is refused when it was changed, is signed by another key, or is none', () => {
    const verifier = parseVerifierKey(key);
    expect(() => openNote(note.replace('This', 'That'), verifier)).toThrow(/does not fit/);
    expect(() => openNote(note.replace('example.com/foo', 'example.com/bar'), verifier)).toThrow(
      /not signed by/,
    );
    for (const text of ['', 'text', 'text\n\n', 'text\n\n— a b']) {
      expect(() => openNote(text, verifier)).toThrow(AuditError);
    }
  });

  it('may carry signatures of others', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const bytes = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    const verifier = { name: 'me', publicKey: bytes };
    const signed = signNote(
      'text\n',
      verifier,
      createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    );
    expect(openNote(signed.replace('\n\n', '\n\n— witness.example AAAAAAAA\n'), verifier)).toBe('text\n');
  });

  it.each(['', 'nonsense', key.replace('530d', '630d'), `${key}AAAA`])('has no verifier key %j', (text) => {
    expect(() => parseVerifierKey(text)).toThrow(AuditError);
  });
});

describe('checkpoints', () => {
  it('are the head of the tree over the log, signed by the key that the log names', async () => {
    const { keeper, eventStore, key } = await signedLog();
    const verifier = await verifierOfLog(eventStore);
    expect(verifier?.name).toBe(key.name);
    expect(formatVerifierKey(keeper.verifier)).toBe(verifier && formatVerifierKey(verifier));
    const events = await Array.fromAsync(eventStore.readAll());
    expect(verifier && openCheckpoint(textOf(keeper), verifier).size).toBe(events.length);
    expect(textOf(keeper)).toMatch(
      /^keyturn\/test\n15\n[A-Za-z0-9+/]{43}=\n\n— keyturn\/test [A-Za-z0-9+/=]+\n$/,
    );
  });

  it('stay as they are until the log grows, and then cover what was added', async () => {
    const { keeper, machineUsers, treeFolder } = await signedLog();
    const first = textOf(keeper);
    await keeper.advance();
    expect(textOf(keeper)).toBe(first);
    await machineUsers.setSecret(user, context);
    await keeper.advance();
    expect(openCheckpoint(textOf(keeper), keeper.verifier).size).toBe(16);
    expect(readFileSync(join(treeFolder, 'checkpoint'), 'utf8')).toBe(textOf(keeper));
  });

  it('are signed by the same key after a restart, also under another master key', async () => {
    const { commands, key } = await signedLog();
    const changed = new MasterKeys(new Uint8Array(32).fill(2), new Uint8Array(32).fill(1));
    const reopened = await openCheckpointKey(commands, changed, 'other name');
    expect(reopened.name).toBe(key.name);
    expect(reopened.privateKey.equals(key.privateKey)).toBe(true);
    const withoutOld = await openCheckpointKey(commands, new MasterKeys(new Uint8Array(32).fill(2)), 'other');
    expect(withoutOld.privateKey.equals(key.privateKey)).toBe(true);
    await expect(openCheckpointKey(commands, masterKeys, 'x')).rejects.toThrow(/master key/);
  });

  it('go on after a restart, and after the tree was lost or damaged', async () => {
    const { keeper, openKeeper, machineUsers, treeFolder, eventStore } = await signedLog();
    await keeper.stop();
    for (const damage of [
      () => {},
      () => rmSync(join(treeFolder, 'leaves')),
      () => writeFileSync(join(treeFolder, 'leaves'), Buffer.alloc(40 * 20)),
    ]) {
      damage();
      await machineUsers.setSecret(user, context);
      const next = openKeeper();
      await next.advance();
      const verification = await verifyLog({ eventStore, treeFolder });
      expect(isIntact(verification)).toBe(true);
      expect(verification.checkpoints).toEqual([
        { source: 'the last checkpoint', size: verification.events },
      ]);
      await next.stop();
    }
  });

  it('go on after a power cut that left anything in the tree past the last one', async () => {
    for (const hasCheckpoint of [true, false]) {
      const { keeper, openKeeper, machineUsers, treeFolder, eventStore } = await signedLog();
      await keeper.stop();
      if (!hasCheckpoint) rmSync(join(treeFolder, 'checkpoint'));
      appendFileSync(join(treeFolder, 'leaves'), Buffer.alloc(40 * 3));
      await machineUsers.setSecret(user, context);
      const next = openKeeper();
      await next.advance();
      expect(openCheckpoint(textOf(next), next.verifier).size).toBe(16);
      expect(isIntact(await verifyLog({ eventStore, treeFolder }))).toBe(true);
      await next.stop();
    }
  });

  it('are not signed for a log that is not the one of before', async () => {
    const cutOff = 'DELETE FROM events WHERE position > 10';
    for (const { rewrite, growsOn } of [
      { rewrite: cutOff, growsOn: false },
      { rewrite: `UPDATE events SET data = '{}' WHERE position = 15`, growsOn: false },
      { rewrite: cutOff, growsOn: true },
    ]) {
      const { keeper, machineUsers, tamper } = await signedLog();
      const signed = textOf(keeper);
      tamper(rewrite);
      if (growsOn) {
        // Grows past the place where it was cut off.
        for (let time = 0; time < 8; time++)
          await machineUsers.setSecret({ ...user, userId: 'two' }, context).catch(() => {});
      }
      await expect(keeper.advance()).rejects.toThrow(LogRewrittenError);
      expect(textOf(keeper)).toBe(signed);
    }
  });
});

describe('a kept checkpoint', () => {
  it('shows that a log was cut off, where the tree and the last checkpoint were cut off too', async () => {
    const log = await signedLog();
    const early = textOf(log.keeper);
    await log.keeper.stop();
    cpSync(log.treeFolder, join(log.folder, 'early'), { recursive: true });
    await log.machineUsers.setSecret(user, context);
    const later = log.openKeeper();
    await later.advance();
    const kept = [{ source: 'kept', text: textOf(later) }];
    await later.stop();
    expect(isIntact(await verifyLog(log, { checkpoints: kept }))).toBe(true);
    log.tamper('DELETE FROM events WHERE position = (SELECT max(position) FROM events)');
    rmSync(log.treeFolder, { recursive: true });
    cpSync(join(log.folder, 'early'), log.treeFolder, { recursive: true });
    expect(isIntact(await verifyLog(log))).toBe(true);
    const cutOff = { source: 'kept', size: 16, fault: 'the log was cut off: it does not hold 16 events' };
    expect((await verifyLog(log, { checkpoints: kept })).checkpoints).toContainEqual(cutOff);
    rmSync(log.treeFolder, { recursive: true });
    expect((await verifyLog(log, { checkpoints: kept })).checkpoints).toEqual([cutOff]);
    const stillFits = [{ source: 'kept', text: early }];
    expect(isIntact(await verifyLog(log, { checkpoints: stillFits }))).toBe(true);
  });

  it('shows that a stream was rewritten with a perfect chain', async () => {
    const log = await signedLog();
    const kept = [{ source: 'kept', text: textOf(log.keeper) }];
    await log.keeper.stop();
    rmSync(log.treeFolder, { recursive: true });
    // The last event of a stream: no other carries its hash.
    log.tamper(
      `UPDATE events SET data = json_set(data, '$.name', 'forged') WHERE stream = 'machineUser-two' AND revision = 5`,
    );
    expect(isIntact(await verifyLog(log))).toBe(true);
    expect((await verifyLog(log, { checkpoints: kept })).checkpoints).toMatchObject([
      { fault: 'the first 15 events of the log are not those that it covers' },
    ]);
  });

  // JSON, with a string that has no canonical form.
  const withoutHash = String.raw`{"name":"\ud800"}`;

  it.each(['{', withoutHash])('cannot be compared with a log where an event is %s', async (data) => {
    const log = await signedLog();
    const kept = [{ source: 'kept', text: textOf(log.keeper) }];
    await log.keeper.stop();
    log.tamper(`UPDATE events SET data = ? WHERE stream = 'machineUser-one' AND revision = 1`, data);
    const notCompared = {
      source: 'kept',
      size: 15,
      fault: 'it cannot be compared: one of the first 15 events of the log cannot be read',
    };
    for (const { eventStore, treeFolder } of [log, { ...log, treeFolder: undefined }]) {
      const verification = await verifyLog({ eventStore, treeFolder }, { checkpoints: kept });
      expect(verification).toMatchObject({ fault: { kind: 'unreadable', revision: 1n } });
      expect(verification.checkpoints.at(-1)).toEqual(notCompared);
    }
  });

  it('is refused when it is not signed by the log, or is of another', async () => {
    const log = await signedLog();
    const text = textOf(log.keeper);
    const faultOf = async (checkpoint: string) =>
      (await verifyLog(log, { checkpoints: [{ source: 'kept', text: checkpoint }] })).checkpoints[1]?.fault;
    expect(await faultOf(text.replace('\n15\n', '\n14\n'))).toMatch(/signature .* does not fit/);
    expect(await faultOf('nonsense')).toMatch(/not a signed note/);
    expect(await faultOf(textOf((await signedLog()).keeper))).toMatch(/not signed by/);
  });
});

test('a tree that was changed accuses no event, and is told itself', async () => {
  const log = await signedLog();
  await log.keeper.stop();
  const leaves = join(log.treeFolder, 'leaves');
  const content = readFileSync(leaves);
  content.writeUInt8((content.readUInt8(100) + 1) % 256, 100);
  writeFileSync(leaves, content);
  const verification = await verifyLog(log);
  expect(verification).toMatchObject({
    fault: undefined,
    treeFault: expect.any(String),
    checkpoints: [{ size: 15 }],
  });
  expect(verification.checkpoints[0]).not.toHaveProperty('fault');
  expect(isIntact(verification)).toBe(false);
});

describe('an inclusion proof', () => {
  it('is verified with nothing but the verifier key', async () => {
    const { eventStore, keeper, treeFolder } = await signedLog();
    const verifier = parseVerifierKey(formatVerifierKey(keeper.verifier));
    for await (const event of eventStore.readAll()) {
      const { stream, revision, position, id, type } = event;
      for (const name of [String(position), `${stream}@${revision}`, id]) {
        expect(await findEvent(eventStore, name)).toEqual(event);
      }
      const proven = verifyInclusion(proveInclusion(treeFolder, event, verifier), verifier);
      expect(proven).toMatchObject({
        event: { stream, revision: String(revision), id, type },
        index: Number(position) - 1,
        size: 15,
      });
    }
  });

  it('proves nothing when anything in it was changed', async () => {
    const { eventStore, keeper, treeFolder } = await signedLog();
    const { verifier } = keeper;
    const proof = proveInclusion(treeFolder, await findEvent(eventStore, '4'), verifier);
    expect(verifyInclusion(proof, verifier).index).toBe(3);
    const other = proveInclusion(treeFolder, await findEvent(eventStore, '5'), verifier);
    const line = (text: string, number: number) => text.split('\n')[number] ?? '';
    for (const forged of [
      proof.replace('index 3', 'index 2'),
      proof.replace(line(proof, 1), line(other, 1)),
      proof.replace(line(proof, 3), line(other, 3)),
      proof.replace(`${line(proof, 4)}\n`, ''),
      proof.replace('\n15\n', '\n16\n'),
      proof.replace('@v1', '@v2'),
      '',
    ]) {
      expect(forged).not.toBe(proof);
      expect(() => verifyInclusion(forged, verifier)).toThrow(AuditError);
    }
    expect(() => verifyInclusion(proof, { ...verifier, name: 'other' })).toThrow(AuditError);
  });

  it('is not to be had before a checkpoint covers the event, or for one that is not there', async () => {
    const { eventStore, keeper, treeFolder, machineUsers, folder } = await signedLog();
    await machineUsers.setSecret(user, context);
    const last = await findEvent(eventStore, '16');
    expect(() => proveInclusion(treeFolder, last, keeper.verifier)).toThrow(/wait for the next one/);
    expect(() => proveInclusion(join(folder, 'none'), last, keeper.verifier)).toThrow(/no checkpoint yet/);
    for (const name of ['99', 'machineUser-one@99', 'nonsense']) {
      await expect(findEvent(eventStore, name)).rejects.toThrow(AuditError);
    }
  });
});
