import Table from 'cli-table3'

/** A table for people, without borders; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  const numeric = head.map((_, column) => rows.every((row) => typeof row[column] !== 'string'))
  const made = new Table({
    head: [...head],
    colAligns: numeric.map((isNumeric) => (isNumeric && rows.length > 0 ? 'right' : 'left')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '',
    },
  })
  for (const row of rows) made.push(row.map((cell) => (cell === null ? '-' : String(cell))))
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}
