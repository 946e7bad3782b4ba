/**
 * A partition of a Redis that Sentinels watch: the primary, and one node that still sees it, on one side; Sentinels, a
 * replica that is promoted, and everybody else on the other. What is lost is what README says of each `ack`, nothing
 * else, and `status` and the audit have the number.
 */
import { afterEach, expect, it } from 'vitest'
import { keptOrders, sellTheRest, untilSelling } from './chaos/selling.ts'
import { SentinelGroup } from './chaos/sentinel-group.ts'
import {
  allEnded,
  exactSale,
  lostOrders,
  noFalseScarcity,
  oneOrderPerKey,
  withinLimit,
  type Order,
} from './checkers.ts'
import { type History, Rush } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { type Buyer, say, wishOf } from './rush.ts'
import { until } from './wait.ts'

const STOCK = 1500
/** Before and while the partition begins: half at the node that stays with the primary, half at nginx. */
const BUYERS = 400
/** Once the sale is open again on the other side, at the node that stayed. */
const LATE = 60
/** After which an operator decides. */
const PATIENCE_MS = 2000
/** How far a replica may be behind when the partition begins. */
const LAG_MS = 1000

let group: SentinelGroup
let cluster: Cluster
afterEach(async () => {
  await cluster?.end()
  await group?.end()
})

let buyers: Buyer[]

async function start(ack: string): Promise<void> {
  group = await SentinelGroup.start()
  const config = `ack: ${ack}\nredis: { url: '${group.url}' }\n`
  cluster = await Cluster.up({ nodes: 3, sale: saleText({ seat: STOCK }), config })
  buyers = await cluster.tokens(BUYERS + LATE)
}

function crowd(count: number, target: string, arrivalMs = 10): Rush {
  const wishes = buyers.splice(0, count).map((buyer) => wishOf(buyer))
  return new Rush(wishes, { target: () => target, arrivalMs, attemptsMax: 1000, concurrency: LATE })
}

interface Status {
  readonly sales: readonly {
    readonly recovering: boolean
    readonly missing: readonly string[]
    readonly recoveringForMs: number | null
    readonly lost: { readonly orders: number; readonly nodes: readonly string[] } | null
  }[]
  readonly problems: readonly string[]
}

/** By itself, or by an operator, who sees in `status` that it stays closed and why. */
async function untilOpen(): Promise<void> {
  await until(
    'the sale to be open',
    async () => {
      const [sale] = ((await cluster.farebox('status')).json as Partial<Status>).sales ?? []
      if (sale !== undefined && sale.missing.length > 0 && (sale.recoveringForMs ?? 0) > PATIENCE_MS) {
        await cluster.farebox('sale', 'recover', 'rush', '--yes')
      }
      return sale?.recovering === false
    },
    60_000,
  )
}

interface Parted {
  readonly fromMs: number
  readonly toMs: number
  readonly history: History
  /** Orders that the node which stayed told when the sale was open on the other side. */
  readonly soldApart: number
}

async function part(replicasStaying: 0 | 1 = 0): Promise<Parted> {
  const n1 = cluster.node('n1')
  const early = [crowd(BUYERS / 2, n1.url), crowd(BUYERS / 2, cluster.view.url)]
  const running = early.map((rush) => rush.run())
  await until('some to be sold', () => early.every(({ sold }) => sold > BUYERS / 10))
  const fromMs = performance.now()
  let soldApart = 0
  await group.failoverByPartition(
    () => [n1.pid],
    async () => {
      await untilOpen()
      const late = crowd(LATE, n1.url, 0)
      running.push(late.run())
      await until('buyers at the node that stayed', () => late.attempts >= LATE)
      soldApart = late.sold
    },
    replicasStaying,
  )
  const toMs = performance.now()
  await untilOpen()
  await untilSelling(cluster, 'rush')
  return { fromMs, toMs, history: (await Promise.all(running)).flat(), soldApart }
}

/** Everything but what was lost keeps every promise, sold out to the last ticket. */
async function expectTheRestWhole(history: History, lost: readonly Order[]): Promise<void> {
  const whole = [...history, ...(await sellTheRest(cluster, 'rush', STOCK))]
  const ids = new Set(lost.map(({ id }) => id))
  const kept = whole.filter(({ attempts }) => !attempts.some(({ orderId }) => orderId !== null && ids.has(orderId)))
  expect([
    ...exactSale(kept, { seat: STOCK }),
    ...withinLimit(whole, 2),
    ...oneOrderPerKey(whole),
    ...noFalseScarcity(kept),
    ...allEnded(whole),
  ]).toEqual([])
  const { fares } = await cluster.audit()
  expect(fares).toMatchObject([
    { stock: STOCK, remaining: 0, held: STOCK, countedHeld: STOCK, ledgerHeld: STOCK, diff: 0 },
  ])
}

/** Orders that nodes told and nobody has any more, by the audit; it finds nothing else. */
async function auditedLoss(): Promise<number> {
  const { problems } = await cluster.audit()
  expect(new Set(problems.map(({ rule }) => rule))).toEqual(new Set(['acknowledged_lost']))
  const counts = problems.map(({ witness }) => {
    const [, orders] = /^node n\d told buyers of (\d+) orders \(\d+ tickets\) that were lost/.exec(witness) ?? []
    return Number(orders)
  })
  return counts.reduce((sum, count) => sum + count, 0)
}

/** The same by `status`, which raises it as an alarm by itself. */
async function alarmedLoss(): Promise<number> {
  return until('status to tell of the loss', async () => {
    const { json, code } = await cluster.farebox('status')
    const { sales, problems } = json as Status
    const lost = sales[0]?.lost ?? null
    if (lost === null) return null
    expect(code).toBe(1)
    // Mostly the one that stayed; others may have told what the promoted replica did not have yet.
    expect(lost.nodes.length).toBeGreaterThan(0)
    expect(problems.join()).toContain(`sale rush lost ${lost.orders} orders`)
    return lost.orders
  })
}

function expectLostIn({ fromMs, toMs }: Parted, lost: readonly Order[]): void {
  const times = lost.map(({ purchase }) => purchase.attempts.find(({ orderId }) => orderId !== null)?.completedMs ?? 0)
  expect(times.filter((ms) => ms < fromMs - LAG_MS || ms > toMs)).toEqual([])
}

async function expectOnlyThatLost(apart: Parted): Promise<void> {
  const { history } = apart
  const lost = lostOrders(history, await keptOrders(cluster, 'rush'))
  say(
    `${lost.length} acknowledged orders lost by the buyers' records, ${apart.soldApart} told when the sale was open elsewhere`,
  )
  const alarm = await alarmedLoss()
  say(`${alarm} told and lost by status`)
  expect(await auditedLoss()).toBe(alarm)
  // It sold on at the primary that was cut off, and nothing of that is left.
  expect(apart.soldApart).toBeGreaterThan(0)
  expect(lost.length).toBeGreaterThanOrEqual(apart.soldApart)
  expect(alarm).toBeGreaterThanOrEqual(lost.length)
  expectLostIn(apart, lost)
  await expectTheRestWhole(history, lost)
}

it.each([
  ['redis', 0],
  ['replicated', 1],
] as const)(
  'ack: %s, with %i replicas on the wrong side of the partition, loses what was told there, nothing else, and says how much',
  async (ack, replicasStaying) => {
    await start(ack)
    await expectOnlyThatLost(await part(replicasStaying))
  },
)

it('ack: replicated tells nobody on the wrong side of the partition, and loses nothing', async () => {
  await start('replicated')
  await expectNothingLost(await part())
})

it('ack: ledger tells nobody what the ledger does not have, and loses nothing', async () => {
  await start('ledger')
  await expectNothingLost(await part())
})

/** Whatever was told at the cut-off primary goes with it, so nobody was told anything there. Audit and status agree. */
async function expectNothingLost({ history }: Parted): Promise<void> {
  expect(lostOrders(history, await keptOrders(cluster, 'rush'))).toEqual([])
  await expectTheRestWhole(history, [])
  expect((await cluster.audit()).problems).toEqual([])
  expect(((await cluster.farebox('status')).json as Status).sales).toMatchObject([{ lost: null }])
}
