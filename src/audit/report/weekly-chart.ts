import { BarChart } from 'echarts/charts';
import { GridComponent, LegendComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([BarChart, GridComponent, LegendComponent, SVGRenderer]);

export interface WeeklySeries {
  readonly name: string;
  /** A CSS colour; `var(…)` follows the page's light and dark. */
  readonly color: string;
  readonly values: readonly number[];
}

/** Bars by week as one SVG element, without a script. */
export function weeklyChart(mondays: readonly string[], series: readonly WeeklySeries[]): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 920, height: 280 });
  const label = { color: 'var(--muted)', fontFamily: 'inherit' };
  chart.setOption({
    animation: false,
    grid: { left: 48, right: 40, top: 44, bottom: 28 },
    legend: {
      top: 0,
      left: 40,
      // Text is measured without the page's font: room for a wider one.
      itemGap: 48,
      icon: 'rect',
      itemWidth: 12,
      itemHeight: 12,
      textStyle: label,
      selectedMode: false,
    },
    xAxis: {
      type: 'category',
      data: [...mondays],
      axisLabel: label,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: 'var(--line)' } },
    },
    yAxis: {
      type: 'value',
      minInterval: 1,
      axisLabel: label,
      splitLine: { lineStyle: { color: 'var(--line)' } },
    },
    series: series.map(({ name, color, values }) => ({
      name,
      type: 'bar',
      data: [...values],
      itemStyle: { color },
      silent: true,
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
