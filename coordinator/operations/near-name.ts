/** The name that was probably meant: for commands, options, and ids of sales and nodes. */

/** The nearest of the names, at most two slips (or a third of its length) away; null when none is near. */
export function nearName(given: string, names: readonly string[]): string | null {
  let nearest: string | null = null
  let least = Infinity
  for (const name of names) {
    const distance = slips(given, name)
    if (distance < least && distance <= Math.max(1, Math.min(2, Math.floor(name.length / 2)))) {
      nearest = name
      least = distance
    }
  }
  return nearest
}

/** Letters left out, added, replaced, or two neighbours exchanged (optimal string alignment). */
function slips(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const at = (up: number, left: number): number => (rows[i - up] ?? row)[j - left] ?? 0
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(at(1, 0) + 1, (row[j - 1] ?? 0) + 1, at(1, 1) + cost)
      const isExchange = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isExchange) best = Math.min(best, (rows[i - 2]?.[j - 2] ?? 0) + 1)
      row.push(best)
    }
    rows.push(row)
  }
  return rows[a.length]?.[b.length] ?? 0
}
