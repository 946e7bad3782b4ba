/** A sale's verbs over Redis: each is one script call. */
import { heldOrder } from '../core/confirm.ts'
import { sharesText } from '../core/membership.ts'
import { practiceSaleId } from '../core/practice.ts'
import { stateAt } from '../core/sale-record.ts'
import { statusOfNumber } from '../core/status.ts'
import { countedTickets } from '../core/union.ts'
import type { FareLevel, Order, QuotaRules, SaleState, Version } from '../core/words.ts'
import type {
  Caller,
  ChangeReply,
  ConfirmItem,
  ConfirmReply,
  ConfirmVerdict,
  EventsPage,
  HeartbeatReply,
  JoinReply,
  SaleNode,
  SaleSnapshot,
  SaleStore,
  SettleReply,
  Unheard,
} from '../port.ts'
import type { Connection, Reply } from './connection.ts'
import { saleKeys } from './keys.ts'
import type { ReplicaWitness } from './replica-witness.ts'
import { fieldsOf, formatOrder, letterOf, listOf, parseBuyer, parseDefinition, parseOrder } from './records.ts'
import { parseWire, stoppedOf, versionOf, type WireHead } from './wire.ts'

type WireLevel = [string, number, number, number, number, number, number]

/** What the scripts answer as JSON; which members are there depends on `outcome`. */
interface WireReply extends WireHead {
  readonly now: number
  readonly state: SaleState
  readonly opensAt?: number
  readonly closesAt?: number
  readonly epoch: number
  readonly weight: number
  readonly why: string
  readonly definition: string
  readonly statuses: unknown
  readonly replays: Readonly<Record<string, string>>
  readonly tickets: Readonly<Record<string, number>>
  readonly results: unknown
  readonly fares: unknown
  readonly cursorEra: number
  readonly cursorSeq: number
  readonly complete: boolean
  readonly lost: boolean
  readonly heard: number
  readonly reopened: number
  readonly unheard: unknown
  readonly certified: boolean
  readonly uptoEra: number
  readonly uptoSeq: number
  readonly events: number
}

const PAGE_COUNT = 1000

export function redisSales(connection: Connection, witness: ReplicaWitness): SaleStore {
  const readOrders = async (saleId: string, orderIds: readonly string[]): Promise<(Order | null)[]> => {
    if (orderIds.length === 0) return []
    const texts = listOf<string | null>(await connection.call('HMGET', saleKeys(saleId).orders, ...orderIds))
    return orderIds.map((id, i) => {
      const text = texts[i]
      return typeof text === 'string' ? parseOrder(id, text) : null
    })
  }
  return {
    async create(definition, era) {
      const keys = saleKeys(definition.id)
      const { opensAtMs, closesAtMs } = definition
      const wire = parseWire<WireReply>(
        await connection.run(
          'create-sale',
          [keys.sale, keys.nodes, keys.orders, keys.buyers, keys.events],
          [
            era,
            opensAtMs === null ? 'draft' : 'scheduled',
            opensAtMs ?? '',
            closesAtMs ?? '',
            definition.limitPerBuyer,
            JSON.stringify(definition),
            ...definition.fares.flatMap((fare) => [fare.id, fare.stock]),
          ],
        ),
      )
      const outcome = wire.outcome === 'created' ? 'created' : 'exists'
      return { outcome, definition: parseDefinition(wire.definition), version: versionOf(wire) }
    },
    async read(saleId, rules) {
      const keys = saleKeys(saleId)
      const reply = await connection.run('read-sale', [keys.sale, keys.nodes], [])
      return Array.isArray(reply) ? snapshotOf(reply, rules) : null
    },
    async beginTurn(saleId, turn, seen) {
      const args = [turn, seen.era, seen.seq]
      return changeReply(await connection.run('begin-turn', [saleKeys(saleId).sale], args))
    },
    async change(saleId, change, seen, by = {}) {
      const keys = saleKeys(saleId)
      const args = [change, seen.era, seen.seq, by.lease ?? '', by.turn ?? '']
      return changeReply(await connection.run('change-state', [keys.sale, keys.events], args))
    },
    async setStock(saleId, fareId, stock, seen, by = {}) {
      const keys = saleKeys(saleId)
      const args = [fareId, stock, seen.era, seen.seq, by.lease ?? '', by.turn ?? '']
      return changeReply(await connection.run('set-stock', [keys.sale, keys.events], args))
    },
    async setWeights(saleId, lease, weights, fenceNodes, rules, rule) {
      const keys = saleKeys(saleId)
      const fences = fenceNodes.map((node) => [node.id, node.epoch])
      return changeReply(
        await connection.run(
          'set-weights',
          [keys.sale, keys.nodes],
          [
            lease,
            rules.deadAfterMs,
            JSON.stringify(Object.entries(weights)),
            JSON.stringify(fences),
            rule?.expected.era ?? '',
            rule?.expected.seq ?? '',
            sharesText(rule?.shares ?? null),
          ],
        ),
      )
    },
    async join(saleId, node, seen, lastWriteSeq, rules) {
      const keys = saleKeys(saleId)
      const args = [node.id, node.weight, seen.era, seen.seq, lastWriteSeq, ...bufferArgs(rules), rules.deadAfterMs]
      const wire = parseWire<WireReply>(await connection.run('join', [keys.sale, keys.nodes], args))
      return stoppedOf(wire) ?? joinReply(wire)
    },
    async heartbeat(saleId, caller, options, rules) {
      const keys = saleKeys(saleId)
      const args = [
        ...callerArgs(caller, rules),
        rules.deadAfterMs,
        options.changedSinceSeq,
        options.winnersAfter.era,
        options.winnersAfter.seq,
        options.winnersLimit,
        options.weight ?? '',
      ]
      const reply = await connection.run('heartbeat', [keys.sale, keys.nodes, keys.events], args)
      const [json, ...eventLines] = listOf<string>(reply)
      const wire = parseWire<WireReply>(json)
      return stoppedOf(wire) ?? heartbeatReply(wire, eventLines)
    },
    async confirm(saleId, caller, items, rules) {
      const keys = saleKeys(saleId)
      const wire = parseWire<WireReply>(
        await connection.run(
          'confirm',
          [keys.sale, keys.nodes, keys.orders, keys.buyers, keys.events],
          [...callerArgs(caller, rules), ...columnsOf(items)],
        ),
      )
      return stoppedOf(wire) ?? confirmReply(wire, items)
    },
    awaitReplicas: (saleId, seen, replicas) => witness.ask(saleId, seen, replicas),
    async settle(saleId, items, seen) {
      const keys = saleKeys(saleId)
      const columns = [
        items.map((item) => item.orderId),
        items.map(({ fate }) => letterOf(fate.state, fate.state === 'released' ? fate.reason : null)),
        items.map((item) => item.atMs),
        items.map(({ known }) => (known ? [known.fareId, known.quantity, known.createdAtMs, known.buyer] : 0)),
      ]
      const wire = parseWire<WireReply>(
        await connection.run(
          'settle',
          [keys.sale, keys.orders, keys.buyers, keys.events],
          [seen.era, seen.seq, JSON.stringify(columns)],
        ),
      )
      const results = listOf<SettleReply['results'][number]>(wire.results)
      return stoppedOf(wire) ?? { outcome: 'settled', ...replyOf(wire), results }
    },
    async certify(saleId, expected, era, floorSeq) {
      const keys = saleKeys(saleId)
      const wire = parseWire<WireReply>(
        await connection.run(
          'certify-sale',
          [keys.sale, keys.nodes, keys.events],
          [expected.era, expected.seq, era, floorSeq],
        ),
      )
      if (wire.outcome === 'no_such_sale') return { outcome: 'no_such_sale' }
      return { outcome: wire.outcome === 'certified' ? 'certified' : 'lost_race', version: versionOf(wire) }
    },
    async beginUnion(definition, era) {
      const { id, opensAtMs, closesAtMs, limitPerBuyer, fares } = definition
      const wire = parseWire<WireReply>(
        await connection.run(
          'begin-union',
          [saleKeys(id).sale],
          [
            era,
            opensAtMs ?? '',
            closesAtMs ?? '',
            limitPerBuyer,
            JSON.stringify(definition),
            ...fares.flatMap((fare) => [fare.id, fare.stock]),
          ],
        ),
      )
      return { outcome: wire.outcome === 'begun' ? 'begun' : 'lost_race', version: versionOf(wire) }
    },
    async reassert(saleId, era, orders) {
      const keys = saleKeys(saleId)
      const columns = [
        orders.map(({ id }) => id),
        orders.map(formatOrder),
        orders.map(({ buyer }) => buyer),
        orders.map(countedTickets),
      ]
      const args = [era, JSON.stringify(columns)]
      const wire = parseWire<WireReply>(await connection.run('reassert', [keys.sale, keys.orders, keys.buyers], args))
      return { outcome: wire.outcome === 'reasserted' ? 'reasserted' : 'recovering' }
    },
    async openUnion(saleId, era, { floorSeq, state, fares, tickets, nodes }) {
      const keys = saleKeys(saleId)
      const raised = JSON.stringify(nodes.map(({ id, epoch, confirmed }) => [id, epoch, confirmed]))
      const args = [
        era,
        floorSeq,
        state,
        tickets,
        raised,
        ...fares.flatMap((fare) => [fare.fareId, fare.stock, fare.held, fare.paid]),
      ]
      const wire = parseWire<WireReply>(await connection.run('open-union', [keys.sale, keys.nodes, keys.events], args))
      return { outcome: wire.outcome === 'certified' ? 'certified' : 'lost_race', version: versionOf(wire) }
    },
    async readEvents(saleId, after, limit) {
      const keys = saleKeys(saleId)
      const reply = await connection.run('read-events', [keys.sale, keys.events], [after.era, after.seq, limit])
      return Array.isArray(reply) ? eventsPage(listOf<string>(reply)) : null
    },
    async trimEvents(saleId, upTo) {
      const keys = saleKeys(saleId)
      const wire = parseWire<WireReply>(
        await connection.run('trim-events', [keys.sale, keys.events], [upTo.era, upTo.seq]),
      )
      return stoppedOf(wire) ?? { outcome: 'trimmed', ...replyOf(wire), events: wire.events }
    },
    readOrders,
    async readBuyer(saleId, buyer) {
      const text = await connection.call('HGET', saleKeys(saleId).buyers, buyer)
      if (typeof text !== 'string') return { tickets: 0, orderIds: [], orders: [] }
      const { tickets, orderIds: oldestFirst } = parseBuyer(text)
      const orderIds = oldestFirst.toReversed()
      const orders = await readOrders(saleId, orderIds)
      return { tickets, orderIds, orders: orders.filter((order) => order !== null) }
    },
    async readOrdersOf(saleId, buyers) {
      if (buyers.length === 0) return []
      const texts = listOf<string | null>(await connection.call('HMGET', saleKeys(saleId).buyers, ...buyers))
      const lists = texts.map((text) => (typeof text === 'string' ? parseBuyer(text).orderIds.toReversed() : []))
      const orders = await readOrders(saleId, lists.flat())
      let start = 0
      return lists.map(({ length }) => {
        start += length
        return orders.slice(start - length, start).filter((order) => order !== null)
      })
    },
    async scanOrders(saleId, cursor) {
      const page = await scan(connection, saleKeys(saleId).orders, cursor)
      return { cursor: page.cursor, orders: [...page.fields].map(([id, text]) => parseOrder(id, text)) }
    },
    async scanBuyers(saleId, cursor) {
      const page = await scan(connection, saleKeys(saleId).buyers, cursor)
      const buyers = [...page.fields].map(([buyer, text]) => ({ buyer, tickets: parseBuyer(text).tickets }))
      return { cursor: page.cursor, buyers }
    },
    async erasePractice(nodeId) {
      await connection.call('UNLINK', ...Object.values(saleKeys(practiceSaleId(nodeId))))
    },
  }
}

/** The empty cursor begins; a null one says that all is read. */
async function scan(
  connection: Connection,
  key: string,
  cursor: string,
): Promise<{ cursor: string | null; fields: Map<string, string> }> {
  const reply = listOf<Reply>(await connection.call('HSCAN', key, cursor === '' ? '0' : cursor, 'COUNT', PAGE_COUNT))
  const next = String(reply[0])
  return { cursor: next === '0' ? null : next, fields: fieldsOf(listOf(reply[1])) }
}

function bufferArgs(rules: QuotaRules): (string | number)[] {
  return 'tickets' in rules.buffer ? [rules.buffer.tickets, ''] : ['', rules.buffer.percent]
}

function callerArgs(caller: Caller, rules: QuotaRules): (string | number)[] {
  return [caller.nodeId, caller.epoch, caller.seen.era, caller.seen.seq, caller.lastWriteSeq, ...bufferArgs(rules)]
}

/** Column by column, so that the script can hand whole columns to HMGET; the deadlines apart, as it seldom reads them. */
function columnsOf(items: readonly ConfirmItem[]): [string, string] {
  const orderIds: string[] = []
  const buyers: string[] = []
  const fareIds: string[] = []
  const quantities: number[] = []
  const deadlines: number[] = []
  let earliest = Number.MAX_SAFE_INTEGER
  for (const item of items) {
    orderIds.push(item.orderId)
    buyers.push(item.buyer)
    fareIds.push(item.fareId)
    quantities.push(Number.isSafeInteger(item.quantity) ? item.quantity : 0)
    deadlines.push(item.deadlineMs)
    earliest = Math.min(earliest, item.deadlineMs)
  }
  const columns = [orderIds, buyers, oneForAll(fareIds), oneForAll(quantities), earliest]
  return [JSON.stringify(columns), JSON.stringify(deadlines)]
}

/** The one value where all are equal. */
function oneForAll<T extends string | number>(values: readonly T[]): T | readonly T[] {
  const [first] = values
  return first !== undefined && values.every((value) => value === first) ? first : values
}

function replyOf(wire: WireReply): { version: Version; nowMs: number; state: SaleState } {
  return { version: versionOf(wire), nowMs: wire.now, state: wire.state }
}

function levelsOf(wire: WireReply): FareLevel[] {
  return listOf<WireLevel>(wire.fares).map(([fareId, stock, remaining, held, paid, allowance, changedSeq]) => ({
    fareId,
    stock,
    remaining,
    held,
    paid,
    allowance,
    changedSeq,
  }))
}

function timesOf(wire: WireReply): { opensAtMs: number | null; closesAtMs: number | null } {
  return { opensAtMs: wire.opensAt ?? null, closesAtMs: wire.closesAt ?? null }
}

function changeReply(reply: Reply): ChangeReply {
  const wire = parseWire<WireReply>(reply)
  const stopped = stoppedOf(wire)
  if (stopped !== null) return stopped
  if (wire.outcome === 'refused') return { outcome: 'refused', why: wire.why, version: versionOf(wire) }
  return { outcome: wire.outcome === 'changed' ? 'changed' : 'unchanged', ...replyOf(wire) }
}

function joinReply(wire: WireReply): JoinReply {
  const { epoch, weight } = wire
  return { outcome: 'joined', ...replyOf(wire), epoch, weight, ...timesOf(wire), fares: levelsOf(wire) }
}

function heartbeatReply(wire: WireReply, eventLines: readonly string[]): HeartbeatReply {
  const buyers: string[] = []
  const orderIds: string[] = []
  const settled: string[] = []
  for (const lines of eventLines) {
    for (const line of lines.split('\n')) {
      const afterId = line.indexOf(' ')
      const afterFare = line.indexOf(' ', afterId + 1)
      const orderId = line.slice(0, afterId)
      if (afterFare === -1) {
        settled.push(orderId)
      } else {
        orderIds.push(orderId)
        // A buyer may contain spaces.
        buyers.push(line.slice(line.indexOf(' ', afterFare + 1) + 1))
      }
    }
  }
  return {
    outcome: 'alive',
    ...replyOf(wire),
    ...timesOf(wire),
    weight: wire.weight,
    fares: levelsOf(wire),
    winners: {
      buyers,
      orderIds,
      settled,
      cursor: { era: wire.cursorEra, seq: wire.cursorSeq },
      complete: wire.complete,
      lost: wire.lost,
    },
    heardSeq: wire.heard,
    reopenedSeq: wire.reopened,
  }
}

function eventsPage([json, ...columns]: readonly string[]): EventsPage {
  const wire = parseWire<WireReply>(json)
  const orders: Order[] = []
  for (let at = 0; at + 3 < columns.length; at += 4) {
    const seq = Number(columns[at + 1])
    const ms = Number(columns[at + 2])
    for (const line of (columns[at + 3] ?? '').split('\n')) orders.push(orderOfLine(line, ms, seq))
  }
  return {
    ...replyOf(wire),
    certified: wire.certified,
    orders,
    upTo: { era: wire.uptoEra, seq: wire.uptoSeq },
    complete: wire.complete,
    lost: wire.lost,
  }
}

function orderOfLine(line: string, atMs: number, seq: number): Order {
  const [orderId = '', fareId = '', quantity] = line.split(' ', 3)
  return heldOrder({ orderId, fareId, quantity: Number(quantity), buyer: buyerOfLine(line) }, atMs, seq)
}

/** An event's line is `order_id fare quantity buyer`; a buyer may contain spaces. */
function buyerOfLine(line: string): string {
  const afterFare = line.indexOf(' ', line.indexOf(' ') + 1)
  return line.slice(line.indexOf(' ', afterFare + 1) + 1)
}

function confirmReply(wire: WireReply, items: readonly ConfirmItem[]): ConfirmReply {
  const { statuses } = wire
  const one = typeof statuses === 'number' ? statusOfNumber(statuses) : null
  const each = listOf<number>(statuses)
  const verdicts = items.map((item, i): ConfirmVerdict => {
    const status = one ?? statusOfNumber(each[i] ?? 0)
    const place = String(i + 1)
    if (status === 'held') return { status, order: heldOrder(item, wire.now, wire.seq) }
    if (status === 'replayed') return { status, order: parseOrder(item.orderId, wire.replays[place] ?? '') }
    if (status === 'limit_reached') return { status, buyerTickets: wire.tickets[place] ?? 0 }
    return { status }
  })
  return { outcome: 'judged', ...replyOf(wire), verdicts, fares: levelsOf(wire), unheard: unheardOf(wire) }
}

function unheardOf(wire: WireReply): Unheard[] {
  return listOf<[string, number, number]>(wire.unheard).map(([fareId, seq, forMs]) => ({ fareId, seq, forMs }))
}

function snapshotOf(reply: readonly unknown[], rules: QuotaRules): SaleSnapshot {
  const sale = fieldsOf(listOf(reply[0]))
  const nowMs = Number(reply[2])
  const number = (field: string): number => Number(sale.get(field) ?? Number.NaN)
  const definition = parseDefinition(sale.get('definition') ?? '')
  const nodes = [...fieldsOf(listOf(reply[1]))].map(([id, text]): SaleNode => {
    const [epoch = 0, weight = 0, lastSeenMs = 0, lastWriteSeq = 0, confirmed = 0, seenSeq = 0, heardSeq = 0] = text
      .split(' ')
      .map(Number)
    const live = lastSeenMs > nowMs - rules.deadAfterMs
    return { id, epoch, weight, lastSeenMs, lastWriteSeq, confirmed, seenSeq, heardSeq, live }
  })
  return {
    version: { era: number('era'), seq: number('seq') },
    nowMs,
    state: stateAt({ state: sale.get('state') as SaleState, definition }, nowMs),
    definition,
    certified: sale.get('certificate') === String(reply[3]),
    sought: soughtOf(sale.get('sought')),
    uniting: sale.has('union')
      ? { era: Number.parseInt(sale.get('union') ?? '', 10), heardMs: number('union_ms') }
      : null,
    unitedEra: Number(sale.get('united') ?? 0),
    unattributed: Number(sale.get('unattributed') ?? 0),
    fares: definition.fares.map(({ id }) => ({
      fareId: id,
      stock: number(`stock:${id}`),
      remaining: number(`remaining:${id}`),
      held: number(`held:${id}`),
      paid: number(`paid:${id}`),
    })),
    nodes: nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    liveWeight: number('live_weight'),
    weightsSeq: number('weights_seq'),
    turn: Number(sale.get('turn') ?? 0),
    stoppedTurn: sale.has('stopped_turn') ? number('stopped_turn') : null,
    shares: parseShares(sale.get('shares') ?? ''),
  }
}

function parseShares(text: string): SaleSnapshot['shares'] {
  return text === '' ? null : Object.fromEntries(JSON.parse(text) as [string, number][])
}

function soughtOf(text = '0 0'): Version {
  const [era = 0, seq = 0] = text.split(' ').map(Number)
  return { era, seq }
}
