/** What nodes ask of the ledger with `ack: ledger`, on both databases. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rowOfOrder } from '../../http/order-rows.ts'
import { Metrics } from '../../runtime/metrics.ts'
import type { Order } from '../../stock/core/words.ts'
import type { Database } from '../ledger/database.ts'
import { ledgerFaults } from '../ledger/durability.ts'
import { openLedger } from '../ledger/open-ledger.ts'
import type { SqlLedger } from '../ledger/sql-ledger.ts'
import { startTestPostgres, type TestPostgres } from '../ledger/conformance/test-postgres.ts'
import { heldOrder, saleOf } from '../ledger/testing/orders.ts'
import { Keeping } from './keeping.ts'

const NOW = 1_800_000_000_000
let server: TestPostgres
let directory: string
const opened = new Map<string, { readonly ledger: SqlLedger; readonly database: Database }>()
beforeAll(async () => {
  server = await startTestPostgres()
  directory = await mkdtemp(join(tmpdir(), 'farebox-keeping-'))
  opened.set('pglite', await openLedger(`pglite://${directory}`))
  opened.set('postgres', await openLedger(await server.database()))
})
afterAll(async () => {
  for (const { database } of opened.values()) await database.close()
  await server.stop()
  await rm(directory, { recursive: true })
})

function keepingOn({ ledger, database }: { readonly ledger: SqlLedger; readonly database: Database }) {
  const alarms: unknown[] = []
  const overran: string[] = []
  const log = { info() {}, warn() {}, error: (fields: object) => void alarms.push(fields) }
  let nowMs = 0
  const keeping = new Keeping({
    onOverrun: (saleId) => void overran.push(saleId),
    ledger,
    faults: () => ledgerFaults(database),
    monotonicMs: () => nowMs,
    metrics: new Metrics(),
    log,
  })
  const ask = (saleId: string, era: number, orders: readonly Order[]) =>
    keeping.keep(saleId, { era, orders: orders.map(rowOfOrder) })
  return { keeping, ask, alarms, overran, later: () => (nowMs += 10_000) }
}

describe.each(['pglite', 'postgres'])('keeping on %s', (kind) => {
  function on() {
    const found = opened.get(kind)
    if (found === undefined) throw new Error(`no ${kind}`)
    return found
  }

  it('answers from the rows that are there, however they came in', async () => {
    const { ledger } = on()
    const { sale } = await ledger.createSale(saleOf(`rows-${kind}`, 10))
    const saleId = sale.definition.id
    const { ask } = keepingOn(on())
    const [a, b, c] = ['a', 'b', 'c'].map((id) => heldOrder(`${saleId}${id}`, NOW, { createdSeq: 7 }))
    if (a === undefined || b === undefined || c === undefined) throw new Error('three')
    // The pipeline was first with one of them, and somebody paid for it.
    await ledger.take(saleId, { storeEra: 1, after: sale.taken, upTo: { era: 1, seq: 7 }, orders: [a] })
    await ledger.decide([{ orderId: a.id, fate: { state: 'paid' } }], NOW)
    const answer = await ask(saleId, 1, [a, b])
    if (answer.outcome !== 'kept') throw new Error(answer.outcome)
    expect(answer.orders.map(([id, , , , state]) => `${id} ${state}`)).toEqual([`${a.id} paid`, `${b.id} held`])
    expect(answer.orders.map((row) => row[7])).toEqual([7, 7])
    // Again, and with others at the same time: each asker hears of its own.
    const [again, both] = await Promise.all([ask(saleId, 1, [b]), ask(saleId, 1, [c, a])])
    expect([again, both].map((one) => (one.outcome === 'kept' ? one.orders.map(([id]) => id) : one))).toEqual([
      [b.id],
      [c.id, a.id],
    ])
    expect(await ledger.scanOrders(saleId, null, 10)).toHaveLength(3)
  })

  it('keeps nothing that another era judged, and says which era it is in', async () => {
    const { ledger } = on()
    const { sale } = await ledger.createSale(saleOf(`era-${kind}`, 10))
    const saleId = sale.definition.id
    await ledger.beginEra(saleId, 1, 5)
    const { ask } = keepingOn(on())
    expect(await ask(saleId, 1, [heldOrder(`${saleId}a`, NOW)])).toEqual({ outcome: 'fenced', era: 5 })
    expect(await ask(saleId, 6, [heldOrder(`${saleId}a`, NOW)])).toEqual({ outcome: 'fenced', era: 5 })
    expect(await ask(saleId, 5, [])).toEqual({ outcome: 'kept', orders: [] })
    expect(await ask('nowhere', 1, [])).toEqual({ outcome: 'no_such_sale' })
    expect(await ledger.scanOrders(saleId, null, 10)).toEqual([])
  })

  it('never keeps more than the stock: the rest is released as a conflict, in an alarm', async () => {
    const { ledger } = on()
    const { sale } = await ledger.createSale(saleOf(`stock-${kind}`, 2))
    const saleId = sale.definition.id
    const { ask, alarms, overran } = keepingOn(on())
    const answer = await ask(
      saleId,
      1,
      ['a', 'b', 'c'].map((id, at) => heldOrder(`${saleId}${id}`, NOW + at)),
    )
    if (answer.outcome !== 'kept') throw new Error(answer.outcome)
    expect(answer.orders.map((row) => [row[4], row[5]])).toEqual([
      ['held', null],
      ['held', null],
      ['released', 'conflict'],
    ])
    expect(alarms).toEqual([{ saleId, orderIds: [`${saleId}c`] }])
    expect(overran).toEqual([saleId])
    expect(await ledger.sums(saleId)).toMatchObject([{ held: 2, paid: 0 }])
  })

  it('leaves out what no row can hold, and keeps the others', async () => {
    const { ledger } = on()
    const { sale } = await ledger.createSale(saleOf(`poison-${kind}`, 10))
    const saleId = sale.definition.id
    const { ask, alarms } = keepingOn(on())
    const bad = heldOrder(`${saleId}bad`, NOW, { quantity: 99 })
    const answer = await ask(saleId, 1, [bad, heldOrder(`${saleId}good`, NOW)])
    expect(answer.outcome === 'kept' && answer.orders.map(([id]) => id)).toEqual([`${saleId}good`])
    expect(alarms).toHaveLength(1)
  })

  it('is durable as it is opened', async () => {
    expect(await ledgerFaults(on().database)).toEqual([])
  })
})

it('refuses while the database would not have it on disk, and says what is wrong', async () => {
  const careless = await startTestPostgres(['fsync=off', 'full_page_writes=off'])
  const { ledger, database } = await openLedger(await careless.database())
  try {
    await ledger.createSale(saleOf('careless', 2))
    const { ask } = keepingOn({ ledger, database })
    await expect(ask('careless', 1, [heldOrder('careless1', NOW)])).rejects.toMatchObject({
      code: 'ledger_not_durable',
      message: expect.stringContaining('fsync is off; full_page_writes is off') as unknown,
    })
    expect(await ledger.scanOrders('careless', null, 10)).toEqual([])
  } finally {
    await database.close()
    await careless.stop()
  }
})

it.each([
  [{ era: 1 }],
  [{ era: '1', orders: [] }],
  [{ era: 1, orders: [['x']] }],
  [{ era: 1, orders: [['x', 'second', 1, 'ann', 'lost', null, 1, 1, null, null]] }],
])('refuses what is no list of rows: %j', async (body) => {
  const found = opened.get('pglite')
  if (found === undefined) throw new Error('no pglite')
  await expect(keepingOn(found).keeping.keep('any', body)).rejects.toMatchObject({ code: 'bad_request' })
})
