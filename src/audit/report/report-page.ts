import { format } from 'echarts/core';
import { describeFault } from '../log-fault.ts';
import type { ListedSecret, ReportData } from './report-data.ts';
import { weeklyChart } from './weekly-chart.ts';

const escaped = (text: string | number | bigint): string => format.encodeHTML(String(text));

const style = `
  :root { color-scheme: light dark; --ink: #1c2330; --muted: #5b6472; --line: #d9dee6; --paper: #fff; --card: #f5f7fa;
    --accent: #2f6fdf; --warn: #b4540a; --good: #1a7f4b; --bad: #c0272d; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --muted: #9aa4b2; --line: #323a46; --paper: #12161c;
    --card: #1b212a; --accent: #6ea2ff; --warn: #f0a35e; --good: #54c98a; --bad: #ff7b7b; } }
  @media print { :root { color-scheme: light; --ink: #000; --muted: #444; --line: #bbb; --paper: #fff; --card: #fff;
    --accent: #2f6fdf; --warn: #8a3d00; --good: #0b5a33; --bad: #a01018; } main { max-width: none; padding: 0; }
    section { break-inside: avoid-page; } section.long { break-inside: auto; } thead { display: table-header-group; }
    tr { break-inside: avoid; } .tile { border: 1px solid var(--line); } }
  @page { margin: 15mm; }
  body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; }
  main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
  h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
  p { margin: .4rem 0; } .muted { color: var(--muted); }
  .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; margin-top: 1.2rem; }
  .tile { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
  .tile b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
  .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
  th { color: var(--muted); font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; }
  code { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; font-size: .9em; overflow-wrap: anywhere; }
  svg { width: 100%; height: auto; font-family: inherit; }
  .bar { display: inline-block; height: .7rem; background: var(--accent); border-radius: 2px;
    print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  td.wide { width: 55%; }`;

/** One self-contained page for auditors: no script, and nothing is loaded. */
export function reportPage(data: ReportData): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Secrets of machine users, ${escaped(data.madeAt.slice(0, 10))}</title>
<style>${style}</style>
</head>
<body><main>
<h1>Secrets of machine users</h1>
<p class="muted">Keyturn audit report, made ${escaped(readable(data.madeAt))}, from the log up to position ${data.position}.</p>
${summary(data)}
${integrity(data)}
${byAge(data)}
${weekly(data)}
${rotators(data)}
${section('Unused for 90 days', secretTable(data.idleSecrets, data.unused90Days), true)}
${section('Oldest secrets', secretTable(data.oldestSecrets, data.secrets), true)}
</main></body>
</html>
`;
}

function summary(data: ReportData): string {
  const {
    users,
    usersWhoCanSignIn,
    secrets,
    secretsPast90Days,
    neverUsed,
    unused90Days,
    failedChecks,
    intact,
  } = data;
  const tiles = [
    tile('Log', intact ? 'intact' : 'broken', intact ? 'good' : 'bad'),
    tile('Machine users', users),
    tile('can sign in', usersWhoCanSignIn),
    tile('Live secrets', secrets),
    tile('older than 90 days', secretsPast90Days, secretsPast90Days > 0 ? 'warn' : ''),
    tile('never used', neverUsed, neverUsed > 0 ? 'warn' : ''),
    tile('unused for 90 days', unused90Days, unused90Days > 0 ? 'warn' : ''),
    tile('failed checks', failedChecks),
  ];
  return `<div class="tiles">${tiles.join('')}</div>`;
}

function tile(label: string, value: string | number, tone = ''): string {
  const shown = typeof value === 'number' ? value.toLocaleString('en') : value;
  return `<div class="tile"><b class="${tone}">${escaped(shown)}</b>${escaped(label)}</div>`;
}

function integrity({ verification }: ReportData): string {
  const { events, fault, treeFault, checkpoints } = verification;
  const lines = [
    fault === undefined
      ? good(`All ${events.toLocaleString('en')} events fit the hash chains of their streams.`)
      : bad(`${describeFault(fault)}.`),
    ...(treeFault === undefined ? [] : [bad(`${treeFault}.`)]),
    ...checkpoints.map(({ source, size, fault: checkpointFault }) =>
      checkpointFault === undefined
        ? good(`${source} covers the first ${size?.toLocaleString('en')} events, and they are as it says.`)
        : bad(`${source}: ${checkpointFault}.`),
    ),
    ...(checkpoints.length > 0
      ? []
      : ['<p class="muted">No signed checkpoint was there to compare with.</p>']),
  ];
  return section('Integrity of the log', lines.join('\n'));
}

const good = (text: string) => `<p class="good">✓ ${escaped(text)}</p>`;
const bad = (text: string) => `<p class="bad">✗ ${escaped(text)}</p>`;

function byAge({ secretsByAge }: ReportData): string {
  const most = Math.max(...secretsByAge.map(({ count }) => count), 1);
  const rows = secretsByAge.map(
    ({ label, count }) =>
      `<tr><td>${escaped(label)}</td><td class="number">${count.toLocaleString('en')}</td>` +
      `<td class="wide"><span class="bar" style="width:${((count / most) * 100).toFixed(1)}%"></span></td></tr>`,
  );
  const head = '<tr><th>Age</th><th class="number">Secrets</th><th></th></tr>';
  return section(
    'Live secrets by age',
    `<table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table>`,
  );
}

function weekly({ weeks }: ReportData): string {
  const chart = weeklyChart(
    weeks.map((week) => week.monday),
    [
      { name: 'secrets set', color: 'var(--accent)', values: weeks.map((week) => week.rotations) },
      { name: 'failed checks', color: 'var(--warn)', values: weeks.map((week) => week.failedChecks) },
    ],
  );
  return section(
    'Rotations and failed checks per week',
    `<div class="scroll">${chart}</div><p class="muted">By the Monday of the week, UTC.</p>`,
  );
}

function rotators(data: ReportData): string {
  if (data.rotators.length === 0)
    return section('Who rotates', '<p class="muted">No secret was ever set.</p>');
  const rows = data.rotators.map(({ userId, userName, rotations, last }) => {
    const who =
      userId === undefined ? 'Keyturn itself' : `${escaped(userName ?? '')} <code>${escaped(userId)}</code>`;
    return `<tr><td>${who}</td><td class="number">${rotations.toLocaleString('en')}</td><td>${escaped(readable(last))}</td></tr>`;
  });
  const head = '<tr><th>Editor</th><th class="number">Secrets set</th><th>Last</th></tr>';
  const table = `<table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table>`;
  return section('Who rotates', table + leftOut(rows.length, data.editors, 'those who set the most'), true);
}

/** @param total how many there are */
function secretTable(secrets: readonly ListedSecret[], total: number): string {
  if (secrets.length === 0) return '<p class="muted">None.</p>';
  const rows = secrets.map(({ userName, userId, organizationId, secretId, ageInDays, lastUse }) => {
    const use = lastUse === undefined ? 'never' : readable(lastUse);
    return (
      `<tr><td>${escaped(userName)}<br><code>${escaped(userId)}</code></td><td><code>${escaped(organizationId)}</code></td>` +
      `<td><code>${escaped(secretId)}</code></td><td class="number">${ageInDays.toLocaleString('en')} d</td>` +
      `<td>${escaped(use)}</td></tr>`
    );
  });
  const head = `<tr><th>Machine user</th><th>Organization</th><th>Secret id</th><th class="number">Age</th><th>Last use</th></tr>`;
  const table = `<div class="scroll"><table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table></div>`;
  return table + leftOut(rows.length, total, 'the oldest');
}

/** A list that is cut says so. */
function leftOut(shown: number, total: number, which: string): string {
  if (shown >= total) return '';
  const [some, all] = [shown, total].map((count) => count.toLocaleString('en'));
  return `<p class="muted">Shown are ${some} of ${all}: ${which}.</p>`;
}

function section(title: string, content: string, isLong = false): string {
  return `<section${isLong ? ' class="long"' : ''}><h2>${escaped(title)}</h2>${content}</section>`;
}

function readable(time: string): string {
  return `${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;
}
