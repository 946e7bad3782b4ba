import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { testOrder } from '../../stock/testing/order.ts'
import { Outbox, SPACING_MS } from './outbox.ts'

/** Everything that comes out when asked every few milliseconds. */
function drain(outbox: Outbox, fromMs: number): { atMs: number; what: string }[] {
  const out: { atMs: number; what: string }[] = []
  for (let nowMs = fromMs; !outbox.isEmpty && nowMs < fromMs + 60_000; nowMs += 10) {
    const message = outbox.take(nowMs)
    if (message === null) continue
    const what = message.kind === 'order' ? `${message.order.id} ${message.order.state}` : message.kind
    out.push({ atMs: nowMs, what })
  }
  return out
}

describe('an outbox', () => {
  it('tells the first at once and the others spaced', () => {
    const outbox = new Outbox()
    outbox.hangAvailability()
    outbox.hangAuth('ann')
    outbox.hangOrder(testOrder('a'))
    expect(drain(outbox, 1000)).toEqual([
      { atMs: 1000, what: 'auth' },
      { atMs: 1250, what: 'availability' },
      { atMs: 1500, what: 'a held' },
    ])
  })

  it('keeps only the newest of a kind, and counts what was replaced', () => {
    const outbox = new Outbox()
    outbox.noteSent(1000)
    outbox.hangOrder(testOrder('a'))
    outbox.hangOrder(testOrder('b'))
    outbox.hangOrder(testOrder('a', { state: 'paid' }))
    outbox.hangAvailability()
    outbox.hangAvailability()
    outbox.hangAuth('ann')
    outbox.hangAuth('bob')
    expect(outbox.dropped).toBe(3)
    expect(drain(outbox, 1000).map(({ what }) => what)).toEqual(['auth', 'availability', 'b held', 'a paid'])
  })

  it('lets neither orders nor availability wait for all of the other', () => {
    const outbox = new Outbox()
    const out: string[] = []
    for (const id of ['a', 'b', 'c', 'd']) outbox.hangOrder(testOrder(id))
    for (let nowMs = 0; !outbox.isEmpty && nowMs < 10_000; nowMs += SPACING_MS) {
      if (nowMs < 1500) outbox.hangAvailability()
      out.push(outbox.take(nowMs)?.kind ?? 'nothing')
    }
    expect(out.slice(0, 6)).toEqual(['availability', 'order', 'availability', 'order', 'availability', 'order'])
    expect(out.filter((kind) => kind === 'order')).toHaveLength(4)
  })

  it('holds a bounded number of orders, the newest', () => {
    const outbox = new Outbox()
    for (let i = 0; i < 1000; i += 1) outbox.hangOrder(testOrder(`o${i}`))
    const told = drain(outbox, 0).map(({ what }) => what)
    expect([told.length, told[0], told.at(-1)]).toEqual([100, 'o900 held', 'o999 held'])
    expect(outbox.dropped).toBe(900)
  })

  it('never tells more than four things within a second, whatever happens', () => {
    const event = fc.record({
      afterMs: fc.nat(400),
      what: fc.constantFrom('auth', 'availability', 'order', 'sent', 'take', 'take', 'take'),
      id: fc.constantFrom('a', 'b', 'c'),
    })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const outbox = new Outbox()
        const sentMs: number[] = []
        let nowMs = 0
        for (const { afterMs, what, id } of events) {
          nowMs += afterMs
          if (what === 'auth') outbox.hangAuth('ann')
          if (what === 'availability') outbox.hangAvailability()
          if (what === 'order') outbox.hangOrder(testOrder(id))
          // What is said to all keeps its distance from what it said before, and comes to those with nothing of their own.
          if (what === 'sent' && nowMs - (sentMs.at(-1) ?? -1000) >= SPACING_MS) {
            outbox.noteSent(nowMs)
            sentMs.push(nowMs)
          }
          if (what === 'take' && outbox.take(nowMs) !== null) sentMs.push(nowMs)
        }
        for (const [i, atMs] of sentMs.entries()) expect(atMs - (sentMs[i - 1] ?? -1000)).toBeGreaterThanOrEqual(250)
      }),
    )
  })
})
