/**
 * Faults on purpose after which one alone knows of what was lost: the mark, a caller whom nobody knows, a node that nobody
 * else hears, a page that an orders process has read. What is meant to ask just that one is then all that can tell.
 */
import { compareVersions, type Version } from '../stock/core/words.ts'
import type { Caller, ConfirmItem } from '../stock/port.ts'
import { aloneWithNodes } from './directed-faults.ts'
import type { Later, Target } from './faults.ts'
import { SALE_ID } from './scenario.ts'
import type { StoreServer } from './store-server.ts'
import type { World } from './world.ts'

const LOOK_EVERY_MS = 0.5

/** How much of the store's log the ledger has taken. */
function entriesTaken({ cluster, database }: World): number {
  return database.ledger.taken.era === 0 ? 0 : cluster.primary.entriesUpTo(database.ledger.taken)
}

function isCalm({ isHealing, cluster }: World): boolean {
  return !isHealing && cluster.primary.isUp && cluster.stale === null && !cluster.isUniting
}

/** Every node dies, and these; the store comes back with what the ledger has taken. The ledger's mark may be above that. */
function cutAtTaken(world: World, others: readonly Target[], later: Later): void {
  const { cluster, kernel, nodes } = world
  const lost = cluster.primary.log.length - Math.max(entriesTaken(world), world.saleMadeEntries)
  cluster.goDown()
  later(kernel.random.below(300), () => cluster.comeUp(lost))
  for (const { host } of [...nodes, ...others]) {
    host.crash()
    later(50 + kernel.random.below(600), () => host.start())
  }
}

/** A power cut, just when the ledger's mark is above all that the ledger has of the sale: nothing else is left that knows. */
export function cutAtMark(world: World, later: Later): void {
  const { kernel, database, coordinators, orders } = world
  const look = (triesLeft: number): void => {
    if (!isCalm(world) || triesLeft === 0) return
    const { mark, taken } = database.ledger
    const isAbove = mark.era === taken.era && mark.seq > taken.seq
    if (!isAbove) return kernel.schedule(null, LOOK_EVERY_MS, 'look', () => look(triesLeft - 1))
    cutAtTaken(world, [...coordinators, ...orders], later)
    world.effect('cut_at_mark')
  }
  look(6000)
}

/**
 * The store comes back as it was before any node came, and a node that it does not know says once that it has seen more:
 * then nobody hears of them for longer than anybody waits. Orders processes know of the sale, and were away while it sold.
 */
export function strangersCall(world: World, later: Later): void {
  const { cluster, kernel, nodes } = world
  const { random } = kernel
  const others = aloneWithNodes(world, later)
  const waitForCall = (): void => {
    if (!isCalm(world)) return
    const calls = cluster.primary.log.slice(world.saleMadeEntries)
    const made = cluster.primary.stock.saleRecords.get(SALE_ID)
    if (made === undefined) return
    if (!calls.some((call) => compareVersions(seenBy(call) ?? made, made) > 0)) {
      return kernel.schedule(null, 0.1, 'look', waitForCall)
    }
    for (const { link } of nodes) link.cut({ to: true, from: true, onEffect: () => {} })
    world.effect('strangers_call')
    for (const { host } of others) host.start()
    for (const { link } of nodes) later(2300 + random.below(300), () => link.mend(true))
  }
  later(400 + random.below(500), () => {
    if (!isCalm(world)) return
    cluster.failOver('failover', world.saleMadeEntries)
    waitForCall()
  })
}

/** What a node said that it had seen of the sale; null of other commands. */
function seenBy({ room, verb, args }: StoreServer['log'][number]): Version | null {
  if (room !== 'sales') return null
  if (verb === 'join') return args[2] as Version
  return verb === 'confirm' || verb === 'heartbeat' ? (args[1] as Caller).seen : null
}

/**
 * A copy takes the store's place that lacks one order, which the ledger has and of whose making only a node knows that is
 * not heard. There are few tickets left, so that soon more is sold than the ledger has room for.
 */
export function copySoldOver(world: World, later: Later): void {
  const { cluster, kernel } = world
  const eraNow = (): number => cluster.primary.stock.saleRecords.get(SALE_ID)?.era ?? 0
  const look = (triesLeft: number): void => {
    if (!isCalm(world) || triesLeft === 0) return
    const order = lastOrder(world)
    if (order === null) return kernel.schedule(null, 0.2, 'look', () => look(triesLeft - 1))
    const [era, cutMs] = [eraNow(), kernel.nowMs]
    order.node.link.cut({ to: true, from: false, onEffect: () => {} })
    cluster.restoreInPlace(Math.max(order.entriesBefore, world.saleMadeEntries))
    world.effect('copy_sold_over')
    const mendWhenAnew = (): void => {
      if (world.isHealing) return
      if (eraNow() <= era) return later(10, mendWhenAnew)
      order.node.link.mend(true)
      // It may have been found at once, by whoever reads on from where the ledger is.
      if (world.orders.some(({ toldMs }) => toldMs >= cutMs)) later(300, () => look(triesLeft - 1))
    }
    mendWhenAnew()
  }
  look(20_000)
}

/** The sale's last change, where that is an order of one of the last tickets that its node and the ledger have; else null. */
function lastOrder({ cluster, database, nodes }: World): { node: Target; entriesBefore: number } | null {
  const { log, stock } = cluster.primary
  const entriesBefore = log.findLastIndex(({ changedTo }) => changedTo !== null)
  const last = log[entriesBefore]
  if (last?.verb !== 'confirm') return null
  const [, caller, items] = last.args as readonly [string, Caller, readonly ConfirmItem[]]
  const node = nodes.find(({ host }) => host.id === caller.nodeId)
  if (node === undefined || node.link.isCut) return null
  const left = stock.saleRecords.get(SALE_ID)?.fares.get(items[0]?.fareId ?? '')?.remaining ?? 0
  const isTaken = items.every(({ orderId }) => database.ledger.rowOf(SALE_ID, orderId) !== undefined)
  const isHeard = node.lastWriteSeq === last.changedTo?.seq && !node.link.hasCommandsUnderWay
  return isTaken && isHeard && left > 0 && left <= FEW ? { node, entriesBefore } : null
}

const FEW = 30

/**
 * An orders process has read a page of orders and sleeps. The store, every node and the other process end, and come back
 * without those orders; as soon as a new era is begun, and before anything of it is taken, the sleeper goes on.
 */
export function pageAsleep(world: World, later: Later): void {
  const { cluster, kernel, database, orders } = world
  const [sleeper, other] = orders
  if (sleeper === undefined || other === undefined) return
  const wake = (): void => {
    if (sleeper.host.isPaused) sleeper.host.resume()
  }
  const wakeWhenAnew = (): void => {
    if (world.isHealing) return
    const record = cluster.primary.stock.saleRecords.get(SALE_ID)
    const isAnew = (record?.era ?? 0) > database.ledger.taken.era && record?.certificate === cluster.primary.fingerprint
    if (isAnew) return wake()
    kernel.schedule(null, LOOK_EVERY_MS, 'look', wakeWhenAnew)
  }
  const look = (triesLeft: number): void =>
    sleeper.link.whenAsked('sales', 'readEvents', ([, after]) => {
      if (!isCalm(world) || triesLeft === 0 || !sleeper.host.isUp || sleeper.host.isPaused) return
      sleeper.host.pause()
      const askedMs = kernel.nowMs
      // By then it was read, and whatever was on its way to the ledger is there.
      kernel.schedule(null, 2.5, 'asleep', () => {
        const { mark, taken } = database.ledger
        const unread = cluster.primary.log.slice(entriesTaken(world)).filter(({ changedTo }) => changedTo !== null)
        const isOrders =
          (unread[0]?.atMs ?? Number.POSITIVE_INFINITY) <= askedMs && unread.every(({ verb }) => verb === 'confirm')
        const isNext = taken.era > 0 && compareVersions(taken, after as Version) === 0
        if (!isCalm(world) || !isNext || !isOrders || mark.seq > taken.seq) {
          wake()
          return look(triesLeft - 1)
        }
        cutAtTaken(world, [other], later)
        world.effect('page_asleep')
        wakeWhenAnew()
        later(4000, wake)
      })
    })
  look(200)
}

/** The database says that it has a page of orders, and loses it; the other orders process comes when more was taken. */
export function lostCommit(world: World, later: Later): void {
  const { database, kernel, orders } = world
  const [, other] = orders
  if (other === undefined) return
  other.host.crash()
  const startWhenTaken = (triesLeft: number): void => {
    if (world.isHealing) return
    const { ledger } = database
    const isPast = ledger.lostUpTo !== null && ledger.taken.seq > ledger.lostUpTo.seq
    if (isPast || triesLeft === 0) return other.host.start()
    kernel.schedule(null, 10, 'look', () => startWhenTaken(triesLeft - 1))
  }
  later(300, () => {
    database.ledger.loseNextPage(() => world.effect('lost_commit'))
    startWhenTaken(150)
  })
}

/**
 * A copy from just before a death takes the store's place while a node comes: with that the record of the fleet is at the
 * very version of the plan in force, which alone knows of the death. The dead one wakes, under the epoch it has. The sale is
 * paused meanwhile, so that what the copy lacks of it is found before anything hides it.
 */
export function planAlone(world: World, later: Later): void {
  const { cluster, kernel, nodes, edge } = world
  const [sleeper, other] = [nodes[kernel.random.below(2)], nodes[2]]
  if (sleeper === undefined || other === undefined || !sleeper.host.isUp || sleeper.host.isPaused) return
  sleeper.host.pause()
  world.changeSale('pause')
  const wake = (): void => {
    if (sleeper.host.isPaused) sleeper.host.resume()
  }
  const look = (): void => {
    if (world.isHealing || !sleeper.host.isPaused) return
    if (edge.sendsTo(sleeper.host.id)) return kernel.schedule(null, 10, 'look', look)
    other.host.crash()
    other.host.start()
    other.link.whenAsked('fleet', 'join', () => {
      const death = cluster.primary.log.findLastIndex(({ room, verb }) => room === 'fleet' && verb === 'setNodes')
      if (!isCalm(world) || death < world.saleMadeEntries) return
      cluster.restoreInPlace(death)
      world.effect('plan_alone')
      kernel.schedule(null, 0, 'wake', wake)
      later(1000, () => world.changeSale('open'))
    })
  }
  look()
  later(3500, wake)
}
