import { SaleQuota, type Wish } from '../../node/quota/sale-quota.ts'
import { many, nothingToEnd, type Question } from './question.ts'

const TIMES = 2000
const BOUNDS = { line: 10_000, asking: 1000 }

export const quota: Question = {
  name: 'quota',
  asks: 'What does it cost a node to decide about a wish in memory, with one fare and with a thousand?',
  async prepare() {
    const wish: Wish = { buyer: 'b', fareId: 'f0', quantity: 1, mayRepeat: true, deducted: 0, asks: false }
    const deduct = (quotaOf: SaleQuota<Wish>) => () => {
      if (quotaOf.admit(wish, 0).to !== 'store') throw new Error('not deducted')
      quotaOf.release(wish)
    }
    const refuse = (quotaOf: SaleQuota<Wish>) => () => {
      if (quotaOf.refusal(wish, 0) !== 'all_held') throw new Error('not refused')
    }
    return {
      tasks: [
        many('deduct and restore, 1 fare', TIMES, deduct(heard(1, 1_000_000))),
        many('deduct and restore, 1,000 fares', TIMES, deduct(heard(1000, 1_000_000))),
        many('refuse from memory, 1 fare', TIMES, refuse(heard(1, 0))),
        many('refuse from memory, 1,000 fares', TIMES, refuse(heard(1000, 0))),
      ],
      end: nothingToEnd,
    }
  },
}

/** A quota that has just joined and heard that so many remain. */
function heard(fareCount: number, remaining: number): SaleQuota<Wish> {
  const ids = Array.from({ length: fareCount }, (_, n) => `f${n}`)
  const fares = ids.map((id) => ({ id }))
  const quotaOf = new SaleQuota<Wish>({ limitPerBuyer: 1, opensAtMs: null, closesAtMs: null, fares }, BOUNDS)
  const version = { era: 1, seq: 1 }
  const stock = 1_000_000
  const level = { stock, remaining, held: stock - remaining, paid: 0, allowance: remaining, changedSeq: 1 }
  quotaOf.hearJoin(
    {
      outcome: 'joined',
      version,
      nowMs: 0,
      state: 'open',
      epoch: 1,
      weight: 1,
      opensAtMs: null,
      closesAtMs: null,
      fares: ids.map((fareId) => ({ fareId, ...level })),
    },
    0,
    0,
  )
  quotaOf.winners.finishReading(quotaOf.winners.reading)
  quotaOf.winners.follow([], version, true, version)
  return quotaOf
}
