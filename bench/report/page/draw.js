/* Draws the charts of the report. Runs in the reader's browser, as a module; uPlot stands before it in the page. */
const dark = matchMedia('(prefers-color-scheme: dark)')
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const COLOURS = {
  'won a ticket': '--won',
  'heard of their order again': '--replayed',
  refused: '--refused',
  'asked to try again, or no answer': '--again',
  unexpected: '--unexpected',
}
const LINES = ['--line-1', '--line-2', '--line-3', '--line-4', '--line-5', '--line-6', '--line-7', '--line-8']

const colourOf = (name, n, lines) => {
  if (COLOURS[name]) return style(COLOURS[name])
  if (name.startsWith('order, ')) return style('--won')
  if (name.startsWith('refusal, ')) return style('--refused')
  return style(lines.length === 1 ? '--line-1' : LINES[n % LINES.length])
}
const dashOf = (name) =>
  name.endsWith('p50') ? [] : name.endsWith('p95') ? [6, 3] : name.endsWith('p99') ? [2, 2] : []

/** Of a legend's marker, by the first length of the line's dash. */
const CSS_DASHES = { 0: 'solid', 6: 'dashed', 2: 'dotted' }

const short = (value) => {
  if (value === null || value === undefined) return ''
  const size = Math.abs(value)
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)} M`
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)} k`
  return String(+value.toPrecision(3))
}

/** Vertical lines with their numbers; the texts stand below the chart. */
const marksPlugin = (marks) => ({
  hooks: {
    draw: (u) => {
      const { ctx, bbox } = u
      ctx.save()
      ctx.strokeStyle = ctx.fillStyle = style('--mark')
      ctx.lineWidth = devicePixelRatio
      ctx.font = `600 ${11 * devicePixelRatio}px system-ui, sans-serif`
      marks.forEach(({ at }, n) => {
        const x = Math.round(u.valToPos(at, 'x', true))
        if (x < bbox.left || x > bbox.left + bbox.width) return
        ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio])
        ctx.beginPath()
        ctx.moveTo(x, bbox.top)
        ctx.lineTo(x, bbox.top + bbox.height)
        ctx.stroke()
        const isLast = x > bbox.left + bbox.width - 16 * devicePixelRatio
        ctx.textAlign = isLast ? 'right' : 'left'
        ctx.fillText(String(n + 1), x + (isLast ? -3 : 3) * devicePixelRatio, bbox.top + 11 * devicePixelRatio)
      })
      ctx.restore()
    },
  },
})

/** Of a logarithmic axis: 1, 2 and 5 of each decade, where a few decades leave room for them; else the decades. */
const logLabels = (u, splits) => {
  const { min, max } = u.scales[u.axes[1].scale]
  const digits = Math.log10(max / min) > 3 ? /^1/ : /^[125]/
  return splits.map((value) => (digits.test(value.toExponential()) ? value : null))
}

const stacked = (lines) => {
  const sums = []
  return lines.map(({ values }) => values.map((value, n) => (sums[n] = (sums[n] ?? 0) + (value ?? 0))))
}

const axis = (more) => ({
  stroke: style('--muted'),
  grid: { stroke: style('--grid'), width: 1 },
  ticks: { stroke: style('--grid'), width: 1 },
  font: '12px system-ui, sans-serif',
  ...more,
})

const draw = (figure) => {
  const chart = JSON.parse(figure.querySelector('script').textContent)
  figure.querySelector('.plot')?.remove()
  const place = document.createElement('div')
  place.className = 'plot'
  figure.append(place)
  const values = chart.isStacked ? stacked(chart.lines) : chart.lines.map((line) => line.values)
  const order = chart.lines.map((_, n) => n)
  // Stacked areas are painted from the top one down.
  if (chart.isStacked) order.reverse()
  const series = order.map((n) => {
    const { name } = chart.lines[n]
    const colour = colourOf(name, n, chart.lines)
    return {
      label: name,
      stroke: colour,
      width: chart.isStacked ? 1 : 1.75,
      dash: dashOf(name),
      ...(chart.isStacked ? { fill: colour } : {}),
      points: { show: chart.x.length < 40 && !chart.isStacked, size: 5 },
      spanGaps: false,
      value: (_, __, ___, index) => (index === null ? '' : short(chart.lines[n].values[index])),
    }
  })
  const options = {
    width: Math.max(280, place.clientWidth),
    height: 230,
    legend: {
      live: true,
      markers: { width: 2, dash: (u, n) => CSS_DASHES[u.series[n].dash?.[0] ?? 0] },
    },
    cursor: { points: { size: 6 }, drag: { x: true, y: false } },
    scales: {
      x: { time: false, distr: chart.isXLog ? 3 : 1 },
      y: chart.isYLog ? { distr: 3 } : { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      axis({
        label: chart.xName,
        labelSize: 18,
        labelFont: '12px system-ui, sans-serif',
        size: 34,
        values: (_, ticks) => ticks.map(short),
      }),
      axis({
        label: chart.axis,
        labelSize: 16,
        labelFont: '12px system-ui, sans-serif',
        size: 54,
        labelGap: 4,
        ...(chart.isYLog ? { filter: logLabels } : {}),
        values: (_, ticks) => ticks.map(short),
      }),
    ],
    series: [{ label: 'at', value: (_, value) => short(value) }, ...series],
    plugins: [marksPlugin(chart.marks ?? [])],
  }
  return new uPlot(options, [chart.x, ...order.map((n) => values[n])], place)
}

const drawAll = () => document.querySelectorAll('figure.chart:has(script)').forEach(draw)
drawAll()
dark.addEventListener('change', drawAll)
let timer
addEventListener('resize', () => {
  clearTimeout(timer)
  timer = setTimeout(drawAll, 150)
})
