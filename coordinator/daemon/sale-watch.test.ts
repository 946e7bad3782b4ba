import { beforeEach, describe, expect, it } from 'vitest'
import type { SaleFacts } from '../plan/sale-news.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { SaleWatch } from './sale-watch.ts'

const NOTHING: SaleFacts = { cases: [], recovered: [], overruns: [] }
const RECOUNTED: SaleFacts = { ...NOTHING, recovered: [{ saleId: 'demo', how: 'recount', forMs: 12 }] }
const PAUSED: SaleFacts = { ...RECOUNTED, overruns: ['demo'] }

let said: string[]
let leads: boolean
let answer: SaleFacts | OperationError
let watch: SaleWatch

beforeEach(() => {
  said = []
  leads = true
  answer = NOTHING
  const tell = (kind: string) => (_fields: object, text: string) => void said.push(`${kind} ${text}`)
  watch = new SaleWatch({
    orders: {
      async call<T>() {
        if (answer instanceof OperationError) throw answer
        return answer as T
      },
    },
    leads: () => leads,
    log: { info: tell('info'), warn: tell('warn'), error: tell('error') },
  })
})

async function looks(...answers: readonly (SaleFacts | OperationError)[]): Promise<void> {
  for (answer of answers) await watch.look()
}

describe('what orders processes did', () => {
  it('is told once, by how bad it is', async () => {
    const closed = { ...NOTHING, cases: [{ saleId: 'demo', reasons: ['behind the mark'], forMs: 3 }] }
    const again: SaleFacts = { ...NOTHING, recovered: [{ saleId: 'demo', how: 'union', forMs: 40 }] }
    await looks(NOTHING, closed, closed, again, RECOUNTED, PAUSED, PAUSED)
    expect(said).toEqual([
      'warn sale demo sells nothing until it is recovered: behind the mark',
      'info sale demo sells again after 40 ms: it was put together again',
      expect.stringMatching(/^error sale demo sold more than the ledger has room for/),
      expect.stringMatching(/^error sale demo was paused: it sold too much again/),
    ])
  })

  it('is not news to one who begins to look, nor while another leads', async () => {
    await looks(RECOUNTED)
    leads = false
    await looks(PAUSED)
    leads = true
    await looks(PAUSED)
    expect(said).toEqual([])
  })

  it('is told afterwards where nobody answered meanwhile', async () => {
    await looks(NOTHING, new OperationError('no_orders', 'nobody'), RECOUNTED)
    expect(said).toHaveLength(1)
  })

  it('is told once though orders processes answer in turn, of which one knows; and again when it is news again', async () => {
    await looks(NOTHING, PAUSED, NOTHING, PAUSED, NOTHING)
    expect(said).toHaveLength(2)
    await looks(...Array.from({ length: 70 }, () => RECOUNTED), PAUSED)
    expect(said.slice(2)).toEqual([expect.stringContaining('was paused')])
  })
})
