/** A coordinator as a simulated process: the real cycle, plan and lease. Its files are shared, and lose nothing. */
import { Cycle } from '../coordinator/daemon/cycle.ts'
import type { EraBook } from '../coordinator/daemon/eras.ts'
import { Leadership } from '../coordinator/daemon/leadership.ts'
import type { Log } from '../runtime/log.ts'
import { startRounds } from '../runtime/rounds.ts'
import { delay } from '../runtime/timers.ts'
import type { QuotaRules } from '../stock/core/words.ts'
import type { Edge } from './edge.ts'
import type { Host } from './host.ts'
import type { StoreCluster } from './store-cluster.ts'
import { StoreLink } from './store-link.ts'

const ROUND_MS = 200
/** A reload of nginx, with what comes before it. */
const RELOAD_MS = 300

/** The directory that the coordinators share. */
export class Disk {
  lastEra = 0
}

export class CoordinatorProcess {
  readonly host: Host
  readonly link: StoreLink
  readonly #disk: Disk
  readonly #edge: Edge
  readonly #rules: QuotaRules
  readonly #log: Log

  constructor(host: Host, cluster: StoreCluster, disk: Disk, edge: Edge, rules: QuotaRules, log: Log) {
    this.host = host
    this.link = new StoreLink(host, cluster)
    this.#disk = disk
    this.#edge = edge
    this.#rules = rules
    this.#log = log
    this.#begin()
    host.onStart = () => {
      this.link.connect()
      this.#begin()
    }
  }

  #begin(): void {
    const { host, link } = this
    const { port } = link
    const monotonicMs = (): number => host.monotonicMs()
    const cycle = new Cycle({
      port,
      rules: this.#rules,
      leadership: new Leadership(port.fleet, { id: host.id, adminUrl: `sim://${host.id}` }, monotonicMs),
      loadBalancer: {
        apply: async (topology) => {
          await delay(host.timers, RELOAD_MS)
          return this.#edge.apply(topology)
        },
        inForce: () => this.#edge.inForce(),
      },
      eras: this.#openEras(),
      log: this.#log,
      monotonicMs,
    })
    host.timers.after(1 + host.kernel.random.below(ROUND_MS), () => {
      startRounds('cycle', ROUND_MS, () => cycle.tick(), this.#log, host.timers)
    })
  }

  #openEras(): EraBook {
    const disk = this.#disk
    return {
      last: () => Promise.resolve(disk.lastEra),
      allot: (above = 0) => {
        disk.lastEra = Math.max(disk.lastEra, above) + 1
        return Promise.resolve(disk.lastEra)
      },
    }
  }
}
