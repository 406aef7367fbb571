import { BarChart, CustomChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Latency } from './comparison.ts';
import type { Report } from './report.ts';
import type { Row } from './row.ts';
import { count } from './section.ts';

use([
  BarChart,
  CustomChart,
  LineChart,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
  SVGRenderer,
]);

const width = 920;
const label = { color: 'var(--ink)', fontFamily: 'sans-serif', fontSize: 12 };
const muted = { ...label, color: 'var(--muted)' };
const axis = {
  axisLabel: muted,
  nameTextStyle: muted,
  axisTick: { show: false },
  axisLine: { lineStyle: { color: 'var(--line)' } },
  splitLine: { lineStyle: { color: 'var(--line)' } },
  minorSplitLine: { show: false },
};
const legend = {
  top: 34,
  left: 16,
  itemGap: 40,
  itemWidth: 14,
  itemHeight: 10,
  textStyle: label,
  selectedMode: false,
};
const lineColors = ['var(--first)', 'var(--second)', 'var(--third)', 'var(--fourth)'];
/** A page of its own, for a viewer's light or dark does not reach into the page that shows the image. */
const style = `<style>
:root { --page: #ffffff; --ink: #1f2328; --muted: #59636e; --line: #d1d9e0; --met: #1a7f37; --missed: #bc4c00;
  --first: #0969da; --second: #bc4c00; --third: #1a7f37; --fourth: #8250df; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --ink: #f0f6fc; --muted: #9198a1; --line: #3d444d;
  --met: #3fb950; --missed: #f0883e; --first: #4493f8; --second: #f0883e; --third: #3fb950; --fourth: #ab7df8; } }
</style>`;

/** SVG by name. */
export function plotsOf({ rows }: Pick<Report, 'rows'>): Record<string, string> {
  return { budgets: budgets(rows), latency: latencies(rows), growth: growth(rows) };
}

/** How far each row is from its budget. */
function budgets(rows: readonly Row[]): string {
  const shown = rows.toReversed();
  const shares = shown.map(shareOfBudget);
  const height = 80 + shown.length * 22;
  return svg(
    height,
    'Measured, as a share of the budget (1: just met; further right is better; whiskers: least to most)',
    {
      grid: { left: 420, right: 40, top: 44, bottom: 28 },
      xAxis: { type: 'log', min: 0.1, max: 10, ...axis },
      yAxis: {
        type: 'category',
        data: shown.map(({ what }) => shortened(what)),
        ...axis,
        axisLabel: label,
        splitLine: { show: false },
      },
      series: [
        {
          type: 'custom',
          data: shares.map(({ least, most }, index) => [least, most, index]),
          renderItem: (_: unknown, api: { value(i: number): number; coord(at: number[]): number[] }) => {
            const [from = [], to = []] = [0, 1].map((which) =>
              api.coord([within(api.value(which)), api.value(2)]),
            );
            const style = { stroke: 'var(--muted)', lineWidth: 1.5 };
            return { type: 'line', shape: { x1: from[0], y1: from[1], x2: to[0], y2: to[1] }, style };
          },
          silent: true,
        },
        {
          type: 'custom',
          data: shares.map(({ median }, index) => [median, index]),
          renderItem: (
            { dataIndex }: { dataIndex: number },
            api: { value(i: number): number; coord(at: number[]): number[] },
          ) => {
            const [cx, cy] = api.coord([within(api.value(0)), api.value(1)]);
            const fill = shown[dataIndex]?.budget.isMet ? 'var(--met)' : 'var(--missed)';
            return { type: 'circle', shape: { cx, cy, r: 5 }, style: { fill } };
          },
          silent: true,
          markLine: {
            symbol: 'none',
            silent: true,
            label: { show: false },
            lineStyle: { color: 'var(--ink)', type: 'solid', width: 1 },
            data: [{ xAxis: 1 }],
          },
        },
      ],
    },
  );
}

function shareOfBudget({ keyturn, ratio, budget }: Row): { least: number; median: number; most: number } {
  const { least, median, most } = budget.of === 'ratio' && ratio !== undefined ? ratio : keyturn;
  if ('atLeast' in budget) {
    const { atLeast } = budget;
    return { least: least / atLeast, median: median / atLeast, most: most / atLeast };
  }
  const { below } = budget;
  return { least: below / most, median: below / median, most: below / least };
}

/** On the axis. */
function within(share: number): number {
  return Math.min(10, Math.max(0.1, share));
}

/** How long answers took, of those loads that a user waits for. */
function latencies(rows: readonly Row[]): string {
  const names = ['p50', 'p90', 'p99', 'p99_9'] as const satisfies readonly (keyof Latency)[];
  const wanted = [
    /^PUT secret, REST, bcrypt cost 4/,
    /^client credentials/,
    /^introspection of a JWT/,
    /^good clients/,
  ];
  const shown = wanted.flatMap((form) => rows.find(({ what, latency }) => form.test(what) && latency) ?? []);
  return svg(410, 'Latency in ms, with as many requests under way as the row says (most: 64)', {
    legend,
    // Below two lines of names.
    grid: { left: 60, right: 40, top: 130, bottom: 32 },
    xAxis: {
      type: 'category',
      data: names.map((name) => name.replace('_', '.')),
      ...axis,
      boundaryGap: false,
    },
    yAxis: { type: 'log', ...axis },
    series: shown.map(({ what, latency }, index) => ({
      ...line(shortened(what), index),
      data: names.map((name) => latency?.keyturn[name] ?? null),
    })),
  });
}

/** How rates change with a size, beside those of the smallest. */
function growth(rows: readonly Row[]): string {
  const lines = new Map<string, [size: number, ratio: number][]>();
  for (const { growth: grown, ratio } of rows) {
    if (grown === undefined || ratio === undefined) continue;
    const points = lines.get(grown.line) ?? [[grown.smallest, 1]];
    lines.set(grown.line, [...points, [grown.size, ratio.median]]);
  }
  return svg(380, 'Rate, as a share of that at the smallest size (budget: 0.85)', {
    legend,
    grid: { left: 60, right: 60, top: 100, bottom: 32 },
    xAxis: { type: 'log', ...axis, axisLabel: { ...muted, formatter: (value: number) => count(value) } },
    yAxis: { type: 'value', min: 0, max: 1.4, interval: 0.2, ...axis },
    series: [...lines].map(([name, data], index) => ({
      ...line(name, index),
      data,
      markLine: {
        symbol: 'none',
        silent: true,
        label: { show: false },
        lineStyle: { color: 'var(--ink)', type: 'dashed', width: 1 },
        data: [{ yAxis: 0.85 }],
      },
    })),
  });
}

function line(name: string, index: number) {
  const color = lineColors[index % lineColors.length] ?? '';
  const stroke = { color, width: 2 };
  return {
    name,
    type: 'line',
    symbol: 'circle',
    symbolSize: 7,
    lineStyle: stroke,
    itemStyle: { color },
    silent: true,
  };
}

function title(text: string) {
  return { text, left: 16, top: 8, textStyle: { ...label, fontSize: 13, fontWeight: 'bold' } };
}

function shortened(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 58)}…`;
}

function svg(height: number, heading: string, option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption({ animation: false, backgroundColor: 'var(--page)', title: title(heading), ...option });
  const text = chart.renderToSVGString();
  chart.dispose();
  const withoutHover = text
    .replace(/<style ><!\[CDATA\[.*?<\/style>\n?/s, '')
    .replaceAll(/ class="zr[^"]*"/g, '');
  return `${withoutHover.replace(/^<svg[^>]*>/, (start) => `${start}\n<title>${heading}</title>\n${style}`)}\n`;
}
