/**
 * A coordinator whose process stops at one of its calls to anything outside: the store, the orders processes, the era
 * book, the load balancer. It stops before the call is made, or when it was carried out and before the answer is heard.
 * Stopped for good it is dead; woken it goes on where it was, with everything that it believed then.
 */
import type { OrdersDoor } from '../../operations/orders-door.ts'
import type { TestWorld } from '../../operations/testing/test-world.ts'
import { isSameTopology, type Topology } from '../../plan/topology.ts'
import { SILENT } from '../../../runtime/log.ts'
import { compareVersions } from '../../../stock/core/words.ts'
import { Cycle } from '../cycle.ts'
import type { EraBook } from '../eras.ts'
import { Leadership } from '../leadership.ts'
import type { LoadBalancer } from '../load-balancer.ts'

export interface Cut {
  /** The how-manieth call, counted from {@link MortalLeader.arm}. */
  readonly call: number
  readonly when: 'before' | 'after'
}

export interface MortalLeader {
  readonly cycle: Cycle
  readonly leadership: Leadership
  /** The world as this process reaches it. */
  readonly world: TestWorld
  arm(cut: Cut | null): void
  /** Calls since it was armed. */
  calls(): number
  isStopped(): boolean
  /** What it does, as far as it comes: resolves when that is done, or the process has stopped. */
  run<T>(work: () => Promise<T>): Promise<T | 'stopped'>
  wake(): void
}

/** nginx as the applier keeps it: an older plan, and another one of the same version, is refused. */
export class TestEdge implements LoadBalancer {
  readonly history: Topology[] = []

  async apply(topology: Topology): Promise<string | null> {
    const present = this.history.at(-1)
    if (present !== undefined) {
      const order = compareVersions(topology.version, present.version)
      if (order < 0 || (order === 0 && !isSameTopology(topology, present))) return null
    }
    this.history.push(topology)
    return this.inForce()
  }

  async inForce(): Promise<string | null> {
    const present = this.history.at(-1)
    return present === undefined ? null : `${present.version.era}.${present.version.seq}`
  }
}

export function memoryEras(): EraBook {
  let newest = 0
  return {
    last: async () => newest,
    allot: async (above = 0) => (newest = Math.max(newest, above) + 1),
  }
}

export function mortalLeader(
  world: TestWorld,
  id: string,
  outside: { readonly edge: LoadBalancer; readonly eras: EraBook },
  share: 'weight' | 'demand' = 'weight',
): MortalLeader {
  const gate = new Gate()
  const port = { ...world.port, fleet: gated(gate, world.port.fleet), sales: gated(gate, world.port.sales) }
  const { rules, monotonicMs } = world
  const leadership = new Leadership(port.fleet, { id, adminUrl: `http://${id}` }, monotonicMs)
  const [loadBalancer, eras] = [gated(gate, outside.edge), gated(gate, outside.eras)]
  const cycle = new Cycle({ port, rules, leadership, loadBalancer, eras, log: SILENT, monotonicMs, share })
  return {
    cycle,
    leadership,
    world: { ...world, port, orders: gatedDoor(gate, world.orders) },
    arm: (cut) => gate.arm(cut),
    calls: () => gate.calls,
    isStopped: () => gate.isStopped,
    run: (work) => Promise.race([gate.stopped, work()]),
    wake: () => gate.wake(),
  }
}

/** What every call passes. */
class Gate {
  calls = 0
  isStopped = false
  #cut: Cut | null = null
  #tellStopped = (): void => {}
  readonly stopped = new Promise<'stopped'>((resolve) => (this.#tellStopped = () => resolve('stopped')))
  #wake = (): void => {}
  readonly #awake = new Promise<void>((resolve) => (this.#wake = resolve))

  arm(cut: Cut | null): void {
    this.calls = 0
    this.#cut = cut
  }

  wake(): void {
    this.isStopped = false
    this.#wake()
  }

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.isStopped) await this.#awake
    this.calls += 1
    const when = this.calls === this.#cut?.call ? this.#cut.when : null
    if (when === 'before') await this.#stop()
    try {
      return await work()
    } finally {
      if (when === 'after') await this.#stop()
      else if (this.isStopped) await this.#awake
    }
  }

  #stop(): Promise<void> {
    this.isStopped = true
    this.#tellStopped()
    return this.#awake
  }
}

/** Taking it under a lease is no call to anybody. */
function gatedDoor(gate: Gate, door: OrdersDoor): OrdersDoor {
  return { ...gated(gate, door), under: (lease) => gatedDoor(gate, door.under(lease)) }
}

type Call = (...args: unknown[]) => Promise<unknown>

/** The same object, each of whose calls passes the gate. */
function gated<T extends object>(gate: Gate, target: T): T {
  return new Proxy(target, {
    get(object, name) {
      const member: unknown = Reflect.get(object, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => gate.pass(() => (member as Call).apply(object, args))
    },
  })
}
