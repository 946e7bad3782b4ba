import { describe, expect, it } from 'vitest'
import { demandWeights, observeDemand, type Demand } from './demand.ts'

/** Looks five times a second for so long, while the nodes sell at these rates. */
function after(seconds: number, rates: Readonly<Record<string, number>>, before: Demand | null = null): Demand {
  let demand = before
  const ids = Object.keys(rates)
  const start = before?.atMs ?? 0
  for (let ms = 0; ms <= seconds * 1000; ms += 200) {
    const sellers = ids.map((id) => {
      const already = before?.confirmed[id] ?? 0
      return { id, confirmed: already + Math.floor(((rates[id] ?? 0) * ms) / 1000) }
    })
    demand = observeDemand(demand, start + ms, sellers)
  }
  if (demand === null) throw new Error('nothing observed')
  return demand
}

const equal = [
  { id: 'n1', weight: 1 },
  { id: 'n2', weight: 1 },
]

describe('sharing by demand', () => {
  it('gives the node that sells three times as much three times the share', () => {
    expect(demandWeights(after(10, { n1: 300, n2: 100 }), equal)).toEqual({ n1: 75, n2: 25 })
  })

  it('leaves every live node a floor, so that a crowd that comes to it is seen', () => {
    expect(demandWeights(after(10, { n1: 500, n2: 0 }), equal)).toEqual({ n1: 100, n2: 13 })
  })

  it('follows when the crowd moves', () => {
    const first = after(10, { n1: 300, n2: 0 })
    const then = after(10, { n1: 0, n2: 300 }, first)
    const weights = demandWeights(then, [
      { id: 'n1', weight: 100 },
      { id: 'n2', weight: 13 },
    ])
    expect((weights?.['n2'] ?? 0) / (weights?.['n1'] ?? 1)).toBeGreaterThan(5)
  })

  it('changes nothing near enough, nothing while nobody buys, nothing for one node alone', () => {
    expect(demandWeights(after(10, { n1: 104, n2: 96 }), equal)).toBeNull()
    expect(demandWeights(after(10, { n1: 0, n2: 0 }), equal)).toBeNull()
    expect(demandWeights(after(10, { n1: 300 }), equal.slice(0, 1))).toBeNull()
  })

  it('comes to rest: what it gave is then near enough', () => {
    const demand = after(10, { n1: 300, n2: 100, n3: 37 })
    const live = ['n1', 'n2', 'n3'].map((id) => ({ id, weight: 1 }))
    const weights = demandWeights(demand, live)
    expect(weights).not.toBeNull()
    expect(
      demandWeights(
        demand,
        live.map(({ id }) => ({ id, weight: weights?.[id] ?? 0 })),
      ),
    ).toBeNull()
  })

  it('takes a count that went back as a new start, not as sales', () => {
    const first = after(4, { n1: 100, n2: 100 })
    const again = observeDemand(first, first.atMs + 200, [{ id: 'n1', confirmed: 0 }])
    expect(again.perSecond['n1']).toBeLessThan(first.perSecond['n1'] ?? 0)
  })
})
