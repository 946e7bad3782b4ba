import { describe, expect, it } from 'vitest'
import { type BuyerRecord, parseRecords, rushFaults } from './records.ts'

const won = (buyer: string, what: string, sentMs = 10): BuyerRecord => ({
  outcome: 'won',
  buyer,
  what,
  sentMs,
  answeredMs: sentMs + 5,
})
const refused = (buyer: string, answeredMs = 50): BuyerRecord => ({
  outcome: 'refused',
  buyer,
  what: 'all_held',
  sentMs: answeredMs - 1,
  answeredMs,
})
const RUSH = [won('a', 'order-1'), won('b', 'order-2'), refused('c')]

describe("the buyers' records", () => {
  it('are lawful when all that was there was sold, once', () => {
    expect(rushFaults(RUSH, 2, 3)).toEqual([])
  })

  it('show a planted duplicate sale, an oversale, an undersale', () => {
    expect(rushFaults([won('a', 'order-1'), won('b', 'order-1'), refused('c')], 2, 3)).toHaveLength(1)
    expect(rushFaults([...RUSH, won('d', 'order-3')], 2, 4)).toHaveLength(1)
    expect(rushFaults([won('a', 'order-1'), refused('b'), refused('c')], 2, 3)).toHaveLength(1)
  })

  it('show a false "no more", a buyer without an answer, an unexpected answer', () => {
    expect(rushFaults([won('a', 'order-1'), won('b', 'order-2', 60), refused('c', 50)], 2, 3)).toHaveLength(1)
    expect(rushFaults(RUSH, 2, 4)).toHaveLength(1)
    expect(rushFaults([...RUSH, { ...refused('d'), outcome: 'unexpected' }], 2, 4)).toHaveLength(1)
  })

  it("are read from k6's log", () => {
    const log = [
      'time="2026-11-22T07:00:00Z" level=info msg="RUSH\\twon\\tb-1\\tabc\\t100\\t105" source=console',
      'another line',
      'RUSH\trefused\tb-2\tall_held\t100\t106',
    ]
    expect(parseRecords(log.join('\n'))).toEqual([
      { outcome: 'won', buyer: 'b-1', what: 'abc', sentMs: 100, answeredMs: 105 },
      { outcome: 'refused', buyer: 'b-2', what: 'all_held', sentMs: 100, answeredMs: 106 },
    ])
  })
})
