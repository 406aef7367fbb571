import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ReportData, reportData } from '../../src/audit/report/report-data.ts';
import { reportPage } from '../../src/audit/report/report-page.ts';
import { readSecretUses } from '../../src/audit/report/secret-uses.ts';
import { lastMondays, mondayOf } from '../../src/audit/report/weeks.ts';
import { verifyLog } from '../../src/audit/verify-log.ts';
import { context, organizationId, robot } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';

const day = 86_400_000;

/** A log whose secrets are 200, 40 and 0 days old, and logs of a service that used one of them. */
async function reported({ withLogs = true, userName = 'three' } = {}) {
  const log = await auditedLog();
  const { machineUsers, clock } = log;
  const editor = { userId: 'two', organizationId };
  clock.advance(160 * day);
  await machineUsers.setSecret({ userId: 'two', organizationId }, { ...context, editor });
  clock.advance(40 * day);
  await machineUsers.add({ ...robot, userId: 'three', userName }, context);
  await machineUsers.setSecret({ userId: 'three', organizationId }, { ...context, editor });
  const lastSecret = await Array.fromAsync(
    log.eventStore.readStream('machineUser-two', { direction: 'backwards' }),
  );
  const secretId = lastSecret[0]?.data['secretId'];
  const file = join(log.folder, 'serve.log');
  const lines = [
    { time: clock.now.getTime() - 2 * day, msg: 'access token issued', secretId },
    { time: clock.now.getTime() - day, msg: 'access token issued', secretId },
    { time: clock.now.getTime() - 8 * day, msg: 'client authentication refused' },
    { msg: 'without a time' },
  ];
  writeFileSync(file, ['no JSON', ...lines.map((line) => JSON.stringify(line))].join('\n'));
  const data = await reportData(log.eventStore, {
    now: clock.now,
    verification: await verifyLog(log),
    uses: withLogs ? await readSecretUses([file]) : undefined,
  });
  return { log, data, clock };
}

const listed = (secrets: ReportData['oldestSecrets']) =>
  secrets.map(({ userId, ageInDays }) => [userId, ageInDays]);

test('the report counts secrets by age, names the oldest, and who rotates', async () => {
  const { data } = await reported();
  expect(data).toMatchObject({
    intact: true,
    users: 3,
    usersWhoCanSignIn: 3,
    secrets: 3,
    secretsPast90Days: 1,
  });
  expect(data.secretsByAge.map(({ count }) => count)).toEqual([1, 1, 0, 1, 0]);
  expect(listed(data.oldestSecrets)).toEqual([
    ['one', 200],
    ['two', 40],
    ['three', 0],
  ]);
  expect(data.rotators).toMatchObject([{ rotations: 4 }, { userId: 'two', userName: 'two', rotations: 2 }]);
});

test('the report counts rotations and failed checks in the week in which they were', async () => {
  const { data, clock } = await reported();
  const now = clock.now.getTime();
  expect(data.weeks).toHaveLength(52);
  const week = (time: number) => data.weeks.find(({ monday }) => monday === mondayOf(time));
  expect(week(now)).toMatchObject({ rotations: 1 });
  expect(week(now - 40 * day)).toMatchObject({ rotations: 1 });
  expect(week(now - 8 * day)).toMatchObject({ refusals: 1 });
  expect(data.weeks.reduce((sum, { rotations }) => sum + rotations, 0)).toBe(6);
});

test('the logs of the service tell which secrets were never used, and which not for 90 days', async () => {
  const { data } = await reported();
  expect(data.uses).toMatchObject({ neverUsed: 2, unused90Days: 1, refusals: 1 });
  expect(listed(data.uses?.idleSecrets ?? [])).toEqual([['one', 200]]);
  expect(data.oldestSecrets[1]?.lastUse).toBe(new Date(reportedTime(data) - day).toISOString());
  expect((await reported({ withLogs: false })).data.uses).toBeUndefined();
});

const reportedTime = (data: ReportData) => Date.parse(data.madeAt);

test('the page is one file that loads nothing, runs nothing and shows no hash', async () => {
  const { data } = await reported({ userName: '<script>alert(1)</script>' });
  const page = reportPage(data);
  expect(page).not.toMatch(/<script|<link|<img|\ssrc=|@import|url\(|\$2b\$/);
  expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  expect(page).toMatch(/<svg [\s\S]*secrets set[\s\S]*<\/svg>/);
  expect(page).toContain(`All ${data.verification.events} events fit`);
  expect(page).toContain('prefers-color-scheme: dark');
  expect(page).toContain('@media print');
});

test('the page says what is wrong, and what is not known', async () => {
  const { log, data } = await reported({ withLogs: false });
  log.tamper(`UPDATE events SET data = '{}' WHERE stream = 'machineUser-one' AND revision = 0`);
  const verification = await verifyLog(log);
  const page = reportPage({ ...data, verification, intact: false });
  expect(page).toContain('broken');
  expect(page).toMatch(/✗ event 0 of stream machineUser-one at position \d+ is changed/);
  expect(page).toContain('Not known: a grant writes no event.');
});

test('weeks begin on Monday, in UTC', () => {
  expect(mondayOf(Date.parse('2026-01-05T00:00:00Z'))).toBe('2026-01-05');
  expect(mondayOf(Date.parse('2026-01-11T23:59:59Z'))).toBe('2026-01-05');
  expect(lastMondays(Date.parse('2026-01-12T00:00:00Z'), 3)).toEqual([
    '2025-12-29',
    '2026-01-05',
    '2026-01-12',
  ]);
});
