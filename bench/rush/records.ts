/** The buyers' own records of a rush, and what must be true of them whatever the servers say. */

export interface BuyerRecord {
  readonly outcome: 'won' | 'refused' | 'unexpected'
  readonly buyer: string
  /** The order's id, or the refusal's code. */
  readonly what: string
  readonly sentMs: number
  readonly answeredMs: number
}

const LINE = /RUSH\t(won|refused|unexpected)\t([^\t]+)\t([^\t]*)\t(\d+)\t(\d+)/

/** Lines of k6's log; those of others are passed over. */
export function parseRecords(log: string): BuyerRecord[] {
  return log.split('\n').flatMap((line) => {
    const found = LINE.exec(line.replaceAll('\\t', '\t'))
    if (found === null) return []
    const [, outcome, buyer = '', what = '', sentMs, answeredMs] = found
    return [
      {
        outcome: outcome as BuyerRecord['outcome'],
        buyer,
        what,
        sentMs: Number(sentMs),
        answeredMs: Number(answeredMs),
      },
    ]
  })
}

/** One clock stamped all records. */
export function rushFaults(records: readonly BuyerRecord[], stock: number, buyers: number): string[] {
  const won = records.filter(({ outcome }) => outcome === 'won')
  const refused = records.filter(({ outcome }) => outcome === 'refused')
  const unexpected = records.length - won.length - refused.length
  const faults: string[] = []
  const expect = (isSo: boolean, fault: string): void => void (isSo || faults.push(fault))
  expect(records.length === buyers, `${records.length} buyers of ${buyers} have a final answer`)
  expect(new Set(records.map(({ buyer }) => buyer)).size === records.length, 'a buyer has two records')
  expect(unexpected === 0, `${unexpected} unexpected answers`)
  const wanted = Math.min(stock, buyers)
  expect(won.length === wanted, `${won.length} buyers have a ticket; there were ${wanted} to sell`)
  const ids = new Set(won.map(({ what }) => what))
  expect(ids.size === won.length, `${won.length} tickets, but ${ids.size} distinct orders`)
  expect(!ids.has(''), 'an order without an id')
  // The last ticket was taken at the latest when its buyer had the answer, and not before that buyer asked.
  const lastAskedMs = won.reduce((max, { sentMs }) => Math.max(max, sentMs), 0)
  const early = refused.filter(({ answeredMs }) => answeredMs < lastAskedMs)
  expect(early.length === 0, `${early.length} buyers heard "no more" before the last ticket was asked for`)
  return faults
}
