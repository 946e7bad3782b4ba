/**
 * What can go wrong, drawn per seed. A fault counts only when it took effect: a pause that nothing fell due in, or a
 * partition that nothing ran into, is none.
 */
import type { Random } from '../runtime/random.ts'
import {
  bornAgain,
  copyAtCertify,
  copyBeforeJoin,
  copyBeside,
  copyOfFleet,
  lateNetwork,
  overtakenNews,
  pauseAtHeartbeat,
  powerCut,
} from './directed-faults.ts'
import type { Host } from './host.ts'
import { copySoldOver, cutAtMark, lostCommit, pageAsleep, planAlone, strangersCall } from './lone-witness.ts'
import type { Profile } from './scenario.ts'
import type { StoreLink } from './store-link.ts'
import type { Weather } from './weather.ts'
import type { World } from './world.ts'

export type FaultKind =
  | 'crash'
  | 'pause'
  | 'slow'
  | 'partition'
  | 'bad_network'
  | 'store_stall'
  | 'store_restart'
  | 'store_unsynced'
  | 'older_copy'
  | 'failover'
  | 'split_brain'
  | 'return_to_old'
  | 'clock_step'
  | 'ledger_away'
  | 'power_cut'
  | 'copy_beside'
  | 'copy_at_certify'
  | 'born_again'
  | 'copy_of_fleet'
  | 'copy_before_join'
  | 'overtaken_news'
  | 'pause_at_heartbeat'
  | 'pause_at_door'
  | 'late_network'
  | 'cut_at_mark'
  | 'strangers_call'
  | 'copy_sold_over'
  | 'page_asleep'
  | 'lost_commit'
  | 'plan_alone'

const HARMLESS: readonly FaultKind[] = [
  'crash',
  'crash',
  'pause',
  'pause',
  'slow',
  'partition',
  'partition',
  'bad_network',
  'bad_network',
  'bad_network',
  'store_stall',
  'store_restart',
  'failover',
  'clock_step',
  'ledger_away',
]
const LOSSY: readonly FaultKind[] = [
  'store_unsynced',
  'older_copy',
  'failover',
  'split_brain',
  'return_to_old',
  'return_to_old',
]

interface Plan {
  /** Comes first of all, so that nothing else has spoiled it. */
  readonly once: FaultKind
  readonly others: readonly FaultKind[]
}

/** Nothing of these makes an alarm, or changes the fleet for good. */
const QUIET: readonly FaultKind[] = ['slow', 'store_stall', 'bad_network', 'partition', 'ledger_away']
const RESTLESS: readonly FaultKind[] = [
  'crash',
  'crash',
  'pause',
  'pause',
  'pause',
  'older_copy',
  'older_copy',
  'return_to_old',
  'store_restart',
]

/** What the seeds of a profile draw from; the others draw from all. */
const OF_PROFILE: Readonly<Record<Exclude<Profile, 'mixed'>, readonly Plan[]>> = {
  recovery: [
    { once: 'power_cut', others: QUIET },
    { once: 'copy_beside', others: QUIET },
    { once: 'copy_at_certify', others: QUIET },
    { once: 'born_again', others: QUIET },
  ],
  fleet: [
    { once: 'copy_of_fleet', others: ['slow', 'store_stall'] },
    { once: 'copy_before_join', others: ['slow', 'store_stall'] },
    { once: 'pause', others: RESTLESS },
  ],
  last_ticket: [{ once: 'overtaken_news', others: ['overtaken_news', 'overtaken_news', 'slow', 'bad_network'] }],
  late: [{ once: 'late_network', others: ['late_network', 'late_network', 'pause', 'crash', 'store_stall'] }],
  asleep: [
    { once: 'pause_at_heartbeat', others: ['pause_at_heartbeat'] },
    { once: 'pause_at_door', others: ['pause_at_heartbeat', 'slow', 'clock_step'] },
  ],
  lone_witness: [
    { once: 'cut_at_mark', others: ['slow'] },
    { once: 'strangers_call', others: ['slow'] },
    { once: 'copy_sold_over', others: ['slow'] },
    { once: 'page_asleep', others: ['slow'] },
    { once: 'lost_commit', others: ['slow'] },
    { once: 'plan_alone', others: ['slow'] },
  ],
}

/** What a fault needs to know of a simulated process. */
export interface Target {
  readonly host: Host
  readonly link: StoreLink
}

export function scheduleFaults(world: World): void {
  const { kernel, scenario } = world
  const { random } = kernel
  if (scenario.profile !== 'mixed') return scheduleProfile(world, scenario.profile)
  for (let count = 0; count < scenario.faults; count += 1) {
    const kinds = scenario.isLossy && random.next() < 0.4 ? LOSSY : HARMLESS
    const kind = kinds[random.below(kinds.length)] as FaultKind
    const isLossy = kinds === LOSSY
    kernel.schedule(null, random.next() * scenario.requestMs, `fault ${kind}`, () => begin(world, kind, isLossy))
  }
}

/** They begin with how a sale begins. */
const AT_ONCE: ReadonlySet<FaultKind> = new Set(['born_again', 'strangers_call', 'copy_sold_over'])

function scheduleProfile(world: World, profile: Exclude<Profile, 'mixed'>): void {
  const { kernel, scenario } = world
  const { random } = kernel
  const plans = OF_PROFILE[profile]
  const { once, others } = plans[random.below(plans.length)] as Plan
  const at = (kind: FaultKind, ms: number): void =>
    kernel.schedule(null, ms, `fault ${kind}`, () => begin(world, kind, LOSSY.includes(kind)))
  at(once, AT_ONCE.has(once) ? 1 : scenario.requestMs * (once === 'power_cut' ? 0.6 : 0.05 + 0.3 * random.next()))
  for (let count = 1; count < scenario.faults; count += 1) {
    at(others[random.below(others.length)] as FaultKind, scenario.requestMs * (0.2 + 0.8 * random.next()))
  }
}

/** Everything runs, hears and keeps time again. */
export function heal(world: World): void {
  const { cluster } = world
  cluster.healSplit()
  world.isHealing = true
  for (const { host, link } of world.targets()) {
    host.turnMs = 0.05
    host.start()
    if (host.isPaused) host.resume()
    if (link.isCut) link.mend(false)
    link.weather = world.cluster.calm
  }
  cluster.endStall()
  world.database.isAway = false
  if (!cluster.primary.isUp) cluster.comeUp(0)
}

function begin(world: World, kind: FaultKind, isLossy: boolean): void {
  if (world.isHealing) return
  const { kernel, cluster } = world
  const { random } = kernel
  kernel.note(`fault ${kind}`, 0)
  const target = pickTarget(world)
  const later = (ms: number, run: () => void): void =>
    kernel.schedule(null, ms, `end of ${kind}`, () => {
      if (!world.isHealing) run()
    })
  const forMs = durationMs(random)
  switch (kind) {
    case 'crash':
      if (!target.host.isUp) return
      target.host.crash()
      world.effect(kind)
      return later(forMs, () => target.host.start())
    case 'pause':
      if (!target.host.isUp || target.host.isPaused) return
      target.host.pause()
      return later(forMs, () => {
        if (target.host.deferredCount > 0) world.effect(kind)
        target.host.resume()
      })
    case 'slow':
      target.host.turnMs = 20 + random.below(300)
      world.effect(kind)
      return later(forMs, () => {
        target.host.turnMs = world.scenario.turnMs
      })
    case 'partition':
      return partition(world, target, forMs, later)
    case 'bad_network':
      return badNetwork(world, forMs, later)
    case 'store_stall':
      cluster.stall(forMs)
      return world.effect(kind)
    case 'store_restart':
    case 'store_unsynced':
      return restart(world, kind, random.below(500), later)
    case 'older_copy':
      if (!cluster.primary.isUp || cluster.stale !== null || cluster.isUniting) return
      cluster.restoreInPlace(entriesOfCopy(world))
      return world.effect(kind)
    case 'ledger_away':
      if (world.database.isAway) return
      world.database.isAway = true
      world.effect(kind)
      return later(forMs, () => {
        world.database.isAway = false
      })
    case 'power_cut':
      return powerCut(world, later)
    case 'copy_beside':
      return copyBeside(world, later)
    case 'copy_at_certify':
      return copyAtCertify(world, later)
    case 'born_again':
      return bornAgain(world, later)
    case 'copy_of_fleet':
      return copyOfFleet(world, later)
    case 'copy_before_join':
      return copyBeforeJoin(world, later)
    case 'overtaken_news':
      return overtakenNews(world)
    case 'late_network':
      return lateNetwork(world, later)
    case 'cut_at_mark':
      return cutAtMark(world, later)
    case 'strangers_call':
      return strangersCall(world, later)
    case 'copy_sold_over':
      return copySoldOver(world, later)
    case 'page_asleep':
      return pageAsleep(world, later)
    case 'lost_commit':
      return lostCommit(world, later)
    case 'plan_alone':
      return planAlone(world, later)
    case 'pause_at_heartbeat':
      return pauseAtHeartbeat(world, later, () => world.kernel.random.next() < 0.7 && world.addStock(10))
    case 'pause_at_door':
      world.changeSale('pause')
      return later(600, () => pauseAtHeartbeat(world, later, () => world.changeSale('open')))
    case 'failover':
      if (!cluster.primary.isUp || cluster.stale !== null) return
      cluster.failOver(kind, isLossy ? entriesKept(world, 0.2) : cluster.primary.log.length)
      return world.effect(kind)
    case 'split_brain':
      return splitBrain(world, forMs, later)
    case 'return_to_old': {
      if (!cluster.primary.isUp || cluster.stale !== null) return
      const old = cluster.failOver('failover', cluster.primary.log.length)
      return later(forMs, () => {
        if (!cluster.primary.isUp || cluster.stale !== null) return
        cluster.returnTo(old)
        world.effect(kind)
      })
    }
    case 'clock_step':
      return stepClock(world, target)
  }
}

/** Does something after so many milliseconds, unless everything was healed meanwhile. */
export type Later = (ms: number, run: () => void) => void

function durationMs(random: Random): number {
  return random.next() < 0.5 ? 50 + random.below(700) : 700 + random.below(3500)
}

/** Mostly nodes: they are many. */
function pickTarget(world: World): Target {
  const targets = world.targets()
  return targets[world.kernel.random.below(targets.length)] as Target
}

function entriesKept(world: World, shareMax: number): number {
  const { log } = world.cluster.primary
  const { random } = world.kernel
  const kept = log.length - 1 - random.below(Math.max(1, Math.floor(log.length * shareMax * random.next())))
  // Without a ledger nobody else knows that there is a sale.
  return Math.max(kept, world.saleMadeEntries)
}

/** A copy of some share of the log; where the fleet changes much, of some time ago: from before a death, or a join. */
function entriesOfCopy(world: World): number {
  if (world.scenario.profile !== 'fleet') return entriesKept(world, 0.5)
  const agoMs = 300 + world.kernel.random.below(3000)
  return Math.max(world.cluster.primary.entriesUntil(world.kernel.nowMs - agoMs), world.saleMadeEntries)
}

function partition(world: World, target: Target, forMs: number, later: Later): void {
  if (target.link.isCut) return
  const { random } = world.kernel
  const draw = random.below(3)
  let isCounted = false
  target.link.cut({
    to: draw !== 1,
    from: draw !== 0,
    onEffect: () => {
      if (!isCounted) world.effect('partition')
      isCounted = true
    },
  })
  later(forMs, () => target.link.mend(random.next() < 0.5))
}

function badNetwork(world: World, forMs: number, later: Later): void {
  const { random } = world.kernel
  const share = (): number => (random.next() < 0.5 ? 0 : random.next() * 0.2)
  let isCounted = false
  const weather: Weather = {
    latencyMs: random.next() < 0.5 ? world.scenario.latencyMs : random.below(300),
    cutShare: share(),
    noReplyShare: share(),
    lateShare: share(),
    twiceShare: share(),
    isReordering: random.next() < 0.5,
    onEffect: () => {
      if (!isCounted) world.effect('bad_network')
      isCounted = true
    },
  }
  const targets = random.next() < 0.5 ? world.targets() : [pickTarget(world)]
  for (const { link } of targets) link.weather = weather
  later(forMs, () => {
    for (const { link } of targets) if (link.weather === weather) link.weather = world.cluster.calm
  })
}

function restart(world: World, kind: 'store_restart' | 'store_unsynced', downMs: number, later: Later): void {
  const { cluster } = world
  if (!cluster.primary.isUp || cluster.stale !== null) return
  const lostEntries = kind === 'store_unsynced' ? cluster.primary.log.length - entriesKept(world, 0.05) : 0
  cluster.goDown()
  world.effect(kind)
  later(downMs, () => cluster.comeUp(lostEntries))
}

function splitBrain(world: World, forMs: number, later: Later): void {
  const { cluster, kernel } = world
  if (!cluster.primary.isUp || cluster.stale !== null) return
  const hosts = world.targets().filter(() => kernel.random.next() < 0.4)
  cluster.splitBrain(
    kernel.random.next() < 0.5 ? cluster.primary.log.length : entriesKept(world, 0.1),
    new Set(hosts.map(({ host }) => host.id)),
  )
  world.effect('split_brain')
  later(forMs, () => cluster.healSplit())
}

function stepClock(world: World, target: Target): void {
  const { random } = world.kernel
  const byMs = (random.next() < 0.5 ? -1 : 1) * (random.next() < 0.5 ? random.below(500) : random.below(20_000))
  if (random.next() < 0.5) world.cluster.primary.clockOffsetMs += byMs
  else target.host.wallOffsetMs += byMs
  world.hasSteppedClocks = true
  world.effect('clock_step')
}
