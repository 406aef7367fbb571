import { expect, test } from 'vitest';
import { type ReportData, reportData } from '../../src/audit/report/report-data.ts';
import { reportPage } from '../../src/audit/report/report-page.ts';
import { lastMondays, mondayOf } from '../../src/audit/report/weeks.ts';
import { verifyLog } from '../../src/audit/verify-log.ts';
import { machineSecretUse } from '../../src/domain/aggregates.ts';
import { context, organizationId, robot } from '../support/application.ts';
import { auditedLog } from '../support/audited-log.ts';

const day = 86_400_000;

/** A log whose secrets are 200, 40 and 0 days old: the second was used, and the third was tried with a wrong one. */
async function reported({ userName = 'three' } = {}) {
  const log = await auditedLog();
  const { commands, machineUsers, clock } = log;
  const editor = { userId: 'two', organizationId };
  clock.advance(160 * day);
  const { clientSecret } = await machineUsers.setSecret(
    { userId: 'two', organizationId },
    { ...context, editor },
  );
  clock.advance(32 * day);
  await machineUsers.add({ ...robot, userId: 'three', userName }, context);
  const failures = { type: 'RecordFailures', count: 3, now: clock.now.toISOString() } as const;
  await commands.execute(machineSecretUse, 'three', failures, context);
  clock.advance(8 * day);
  await machineUsers.setSecret({ userId: 'three', organizationId }, { ...context, editor });
  const secretId = clientSecret.slice(4, 20);
  const use = { type: 'RecordUse', secretId, now: clock.now.toISOString() } as const;
  await commands.execute(machineSecretUse, 'two', use, context);
  const data = await reportData(log.eventStore, { now: clock.now, verification: await verifyLog(log) });
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
  expect(week(now - 8 * day)).toMatchObject({ failedChecks: 3 });
  expect(data.weeks.reduce((sum, { rotations }) => sum + rotations, 0)).toBe(6);
});

test('the report tells which secrets were never used, and which not for 90 days', async () => {
  const { data, clock } = await reported();
  expect(data).toMatchObject({ neverUsed: 2, unused90Days: 1, failedChecks: 3 });
  expect(listed(data.idleSecrets)).toEqual([['one', 200]]);
  expect(data.oldestSecrets.map(({ lastUse }) => lastUse)).toEqual([
    undefined,
    clock.now.toISOString(),
    undefined,
  ]);
});

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

test('the page tells what a list leaves out', async () => {
  const { data } = await reported();
  expect(data).toMatchObject({ editors: 2, secrets: 3, unused90Days: 1 });
  expect(reportPage(data)).not.toContain('Shown are');
  const page = reportPage({ ...data, editors: 70, secrets: 1_000_000, unused90Days: 2000 });
  expect(page.match(/Shown are [^<]*/g)).toEqual([
    'Shown are 2 of 70: those who set the most.',
    'Shown are 1 of 2,000: the oldest.',
    'Shown are 3 of 1,000,000: the oldest.',
  ]);
});

test('the page says what is wrong', async () => {
  const { log, data } = await reported();
  log.tamper(`UPDATE events SET data = '{}' WHERE stream = 'machineUser-one' AND revision = 0`);
  const verification = await verifyLog(log);
  const page = reportPage({ ...data, verification, intact: false });
  expect(page).toContain('broken');
  expect(page).toMatch(/✗ event 0 of stream machineUser-one at position \d+ is changed/);
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
