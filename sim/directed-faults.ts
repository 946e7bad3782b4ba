/**
 * Faults on purpose: each brings about, step by step, what takes several things at once and chance hardly ever does.
 * Whether anything is wrong afterwards is for the checkers, as with all others.
 */
import type { Caller } from '../stock/port.ts'
import type { Later, Target } from './faults.ts'
import { SALE_ID } from './scenario.ts'
import type { Weather } from './weather.ts'
import type { World } from './world.ts'

/** Every node at once, and the store with what was written to its disk more than a second ago: whoever knew more is gone. */
export function powerCut(world: World, later: Later): void {
  const { cluster, kernel, nodes } = world
  if (!cluster.primary.isUp || cluster.stale !== null) return
  const { log } = cluster.primary
  const kept = cluster.primary.entriesUntil(kernel.nowMs - 1300 - kernel.random.below(300))
  cluster.goDown()
  later(kernel.random.below(300), () => cluster.comeUp(log.length - Math.max(kept, world.saleMadeEntries)))
  for (const { host } of nodes) {
    if (!host.isUp) continue
    host.crash()
    later(50 + kernel.random.below(600), () => host.start())
  }
  world.effect('power_cut')
}

/**
 * A copy that lacks one change takes the store's place just when only the node that made it knows of it, and that node
 * is not heard for a while: the others go on, and soon the store has come further than anybody had seen.
 */
export function copyBeside(world: World, later: Later): void {
  const { cluster, kernel } = world
  let triesLeft = 4000
  const look = (): void => {
    if (world.isHealing || !cluster.primary.isUp || cluster.stale !== null || cluster.isUniting) return
    const { log } = cluster.primary
    const last = log.at(-1)
    const caller = last?.verb === 'confirm' && last.changedTo !== null ? (last.args[1] as Caller) : null
    const node = world.nodes.find(({ host }) => host.id === caller?.nodeId)
    if (node?.lastWriteSeq !== last?.changedTo?.seq || node === undefined || node.link.isCut) {
      triesLeft -= 1
      if (triesLeft > 0) kernel.schedule(null, 0.1, 'look', look)
      return
    }
    node.link.cut({ to: true, from: false, onEffect: () => {} })
    cluster.restoreInPlace(Math.max(log.length - 1, world.saleMadeEntries))
    world.effect('copy_beside')
    later(100 + kernel.random.below(500), () => node.link.mend(false))
  }
  look()
}

/** An older copy takes the store's place just when it was judged to have everything, and is told so. */
export function copyAtCertify(world: World, later: Later): void {
  const { cluster, orders } = world
  if (!cluster.primary.isUp || cluster.stale !== null) return
  const { length } = cluster.primary.log
  let isDone = false
  for (const { link } of orders) {
    link.whenAsked('sales', 'certify', () => {
      if (isDone || world.isHealing || cluster.stale !== null || !cluster.primary.isUp) return
      isDone = true
      const kept = length - 20 - world.kernel.random.below(Math.max(1, Math.floor(length / 2)))
      cluster.restoreInPlace(Math.max(kept, world.saleMadeEntries))
      world.effect('copy_at_certify')
    })
  }
  cluster.goDown()
  world.effect('store_restart')
  later(20, () => cluster.comeUp(0))
}

/** Nodes come and sell while nobody else is there; returns who is away by then. */
export function aloneWithNodes({ kernel, nodes, coordinators, orders }: World, later: Later): readonly Target[] {
  const others = [...coordinators, ...orders]
  for (const { host } of nodes) {
    host.crash()
    later(220 + kernel.random.below(20), () => host.start())
  }
  for (const { host } of others) later(215, () => host.crash())
  return others
}

/**
 * The first that orders processes see of the sale is that it is there, without nodes. They and the coordinators are away when the nodes come and
 * sell, and come back to a replica that has nothing of that.
 */
export function bornAgain(world: World, later: Later): void {
  const { cluster, kernel } = world
  const { random } = kernel
  const others = aloneWithNodes(world, later)
  later(400 + random.below(500), () => {
    if (!cluster.primary.isUp || cluster.stale !== null) return
    cluster.failOver('failover', world.saleMadeEntries)
    world.effect('born_again')
    for (const { host } of others) later(5, () => host.start())
  })
}

/**
 * A copy from just before a death takes the store's place, the dead one wakes under the epoch it has, and one more
 * change brings the record of the fleet to the version of the plan in force, which knows of the death.
 */
export function copyOfFleet(world: World, later: Later): void {
  const { cluster, kernel, nodes, edge } = world
  const [sleeper, other] = [nodes[kernel.random.below(2)], nodes[2]]
  if (sleeper === undefined || other === undefined || !sleeper.host.isUp || sleeper.host.isPaused) return
  sleeper.host.pause()
  const look = (): void => {
    if (world.isHealing || !sleeper.host.isPaused) return
    if (edge.sendsTo(sleeper.host.id)) return kernel.schedule(null, 10, 'look', look)
    if (!cluster.primary.isUp || cluster.stale !== null || cluster.isUniting) return
    const death = cluster.primary.log.findLastIndex(({ room, verb }) => room === 'fleet' && verb === 'setNodes')
    if (death < world.saleMadeEntries) return
    cluster.restoreInPlace(death)
    world.effect('copy_of_fleet')
    sleeper.host.resume()
    kernel.schedule(null, 50, 'crash', () => {
      if (world.isHealing || !other.host.isUp) return
      other.host.crash()
      later(20, () => other.host.start())
    })
  }
  look()
  later(3500, () => sleeper.host.isPaused && sleeper.host.resume())
}

/**
 * A node that was away for almost as long as the dead are is back, and a copy from just before it came takes the store's
 * place. Its coordinator looks before that node is heard again, and calls it dead: under the very epoch that it was given
 * in the history that is lost.
 */
export function copyBeforeJoin(world: World, later: Later): void {
  const { cluster, kernel, nodes, scenario } = world
  const { host, link } = nodes[kernel.random.below(nodes.length)] as Target
  if (!host.isUp || host.isPaused || !cluster.primary.isUp || cluster.stale !== null) return
  const before = cluster.primary.log.length
  const isThere = (): boolean => !world.isHealing && cluster.primary.isUp && cluster.stale === null
  const waitForDeath = (): void => {
    if (world.isHealing) return
    const isDead = cluster.primary.stock.fleetRecord.nodes.get(host.id)?.state === 'dead'
    if (isDead) link.mend(false)
    else kernel.schedule(null, 10, 'look', waitForDeath)
  }
  const waitForJoin = (): void => {
    const joined = cluster.primary.log.findIndex(
      ({ room, verb, args }, place) =>
        place >= before && room === 'fleet' && verb === 'join' && isNode(args[0], host.id),
    )
    if (!isThere() || link.isCut) return
    if (joined < 0) return kernel.schedule(null, 1, 'look', waitForJoin)
    link.cut({ to: true, from: false, onEffect: () => {} })
    cluster.restoreInPlace(Math.max(joined, world.saleMadeEntries))
    world.effect('copy_before_join')
    waitForDeath()
  }
  host.crash()
  later(scenario.deadAfterMs - 400, () => {
    host.start()
    waitForJoin()
  })
}

function isNode(about: unknown, id: string): boolean {
  return (about as { readonly id: string }).id === id
}

/**
 * News of a single ticket that comes back overtakes the zero before it: the zero arrives most of a second late, just
 * after a winner's repeat has brought the news, the next heartbeat is slow as well, and then somebody wants that ticket.
 * It takes a zero that is news to the heartbeat: what its sender has heard of is not said again.
 */
export function overtakenNews(world: World): void {
  const { kernel, nodes, cluster, buyers, scenario } = world
  const { host, link } = nodes[kernel.random.below(nodes.length)] as Target
  const fareId = scenario.definition.fares[0]?.id ?? ''
  const at = (ms: number, run: () => void): void =>
    kernel.schedule(null, ms, 'overtaken', () => {
      if (!world.isHealing) run()
    })
  const look = (triesLeft: number, heardSeq: number): void =>
    link.whenAsked('sales', 'heartbeat', () => {
      const fare = cluster.primary.stock.saleRecords.get(SALE_ID)?.fares.get(fareId)
      if (world.isHealing || triesLeft === 0) return
      if (fare?.remaining !== 0 || fare.seq === heardSeq) return look(triesLeft - 1, fare?.seq ?? 0)
      link.delayReply(760)
      at(25, () => world.addStock(1))
      at(690, () => buyers.repeatOfWinner(fareId, host.id))
      at(800, () => link.whenAsked('sales', 'heartbeat', () => link.delayReply(700)))
      for (let ms = 1150; ms < 1650; ms += 100) at(ms, () => buyers.askAt(host.id, fareId))
      world.effect('overtaken_news')
    })
  look(20, 0)
}

/** A node stands still from asking how things are until long after the answer, and meanwhile something changes. */
export function pauseAtHeartbeat(world: World, later: Later, meanwhile: () => void): void {
  const { kernel, nodes } = world
  const { random } = kernel
  const { host, link } = nodes[random.below(nodes.length)] as Target
  const forMs = 1200 + random.below(1300)
  link.whenAsked('sales', 'heartbeat', () => {
    if (world.isHealing || !host.isUp || host.isPaused) return
    host.pause()
    world.effect('pause_at_heartbeat')
    kernel.schedule(null, 40 + random.below(60), 'operator', meanwhile)
    later(forMs, () => host.resume())
  })
}

/** Commands of all nodes go astray, while now and then there is more to buy: carried out twice, or seconds after the connection broke that they were sent on. */
export function lateNetwork(world: World, later: Later): void {
  const { random } = world.kernel
  let isCounted = false
  const shares = { cutShare: 0.1, noReplyShare: 0.05, lateShare: 0.15, twiceShare: 0.15 }
  const onEffect = (): void => {
    if (!isCounted) world.effect('late_network')
    isCounted = true
  }
  const weather: Weather = { latencyMs: world.scenario.latencyMs, ...shares, isReordering: true, onEffect }
  for (const { link } of world.nodes) link.weather = weather
  // What was refused meanwhile could be had a moment later: whatever still acts then must not.
  for (const ms of [500, 1000, 1500, 2000]) later(ms, () => world.addStock(3))
  later(300 + random.below(900), () => {
    for (const { link } of world.nodes) if (link.weather === weather) link.weather = world.cluster.calm
  })
}
