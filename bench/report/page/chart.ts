/** A chart as data in the page; `draw.js` draws it there with uPlot. */
import type { Series } from '../series.ts'
import { escape } from './html.ts'

export interface Chart extends Series {
  readonly title: string
  /** Beside the title, in words. */
  readonly unit: string
  /** The same on the axis, short. */
  readonly axis: string
  readonly xName: string
  readonly isXLog?: boolean
  readonly isYLog?: boolean
  readonly isStacked?: boolean
  /** At seconds of the x axis. */
  readonly marks?: readonly { readonly at: number; readonly text: string }[]
}

export function chartHtml(chart: Chart): string {
  const isEmpty = chart.lines.every(({ values }) => values.every((value) => value === null))
  if (isEmpty)
    return `<figure class="chart"><figcaption>${escape(chart.title)}</figcaption><p class="missing">nothing was measured</p></figure>`
  const thin = { ...chart, lines: chart.lines.map((line) => ({ ...line, values: line.values.map(rounded) })) }
  // `<` would end the element that holds the data.
  const data = JSON.stringify(thin).replaceAll('<', '\\u003c')
  return `<figure class="chart"><figcaption>${escape(chart.title)} <small>${escape(chart.unit)}</small></figcaption><script type="application/json">${data}</script></figure>`
}

/** Four digits are more than can be seen. */
function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(4))
}
