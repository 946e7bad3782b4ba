/** Tables for people: no borders, numbers to the right, and no line wider than the terminal. */

type Cell = string | number | null

const GAP = 2
/** A column is not made narrower than this to make room. */
const COLUMN_MIN = 6
const CUT = '…'

/** Columns of the terminal; where none is, nothing is cut: a program may read it. */
export function terminalWidth(): number {
  return process.stdout.isTTY ? process.stdout.columns : Infinity
}

export function table(head: readonly string[], rows: readonly (readonly Cell[])[], width = terminalWidth()): string {
  const texts = rows.map((row) => head.map((_, column) => textOf(row[column] ?? null)))
  const isNumeric = head.map((_, column) => texts.length > 0 && texts.every((row) => isNumber(row[column] ?? '')))
  const natural = head.map((title, column) => Math.max(title.length, ...texts.map((row) => (row[column] ?? '').length)))
  const widths = fitted(natural, isNumeric, width)
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const room = widths[column] ?? 0
        const shown = cell.length > room ? `${cell.slice(0, Math.max(0, room - 1))}${CUT}` : cell
        return isNumeric[column] ? shown.padStart(room) : shown.padEnd(room)
      })
      .join(' '.repeat(GAP))
      .trimEnd()
  return [line(head), ...texts.map(line)].join('\n')
}

/** Numbers, also with a unit, grouped or rounded; a dash where there is none. */
function isNumber(text: string): boolean {
  return /^(-|[≤>]?-?\d[\d,.]*( m?s)?)$/.test(text)
}

function textOf(cell: Cell): string {
  return cell === null ? '-' : String(cell)
}

/** Takes from the widest column of text, one by one, until all fit. Numbers are never cut: half of one is a lie. */
function fitted(natural: readonly number[], isNumeric: readonly boolean[], width: number): number[] {
  const widths = [...natural]
  const used = (): number => widths.reduce((sum, each) => sum + each, 0) + GAP * (widths.length - 1)
  while (used() > width) {
    let widest = -1
    for (const [column, each] of widths.entries()) {
      if (isNumeric[column] || each <= COLUMN_MIN) continue
      if (widest < 0 || each > (widths[widest] ?? 0)) widest = column
    }
    if (widest < 0) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  return widths
}
