/** A coordinator as a simulated process: the real cycle, plan, lease and recovery; its files are a shared map. */
import { Cycle } from '../coordinator/daemon/cycle.ts'
import type { EraBook } from '../coordinator/daemon/eras.ts'
import { Leadership } from '../coordinator/daemon/leadership.ts'
import type { Mark, MarkBook } from '../coordinator/daemon/marks.ts'
import { Recovery } from '../coordinator/daemon/recovery.ts'
import type { NodeReport } from '../coordinator/operations/node-report.ts'
import { compareVersions, type QuotaRules } from '../stock/core/words.ts'
import type { Log } from '../runtime/log.ts'
import { delay } from '../runtime/timers.ts'
import type { Edge } from './edge.ts'
import type { Host } from './host.ts'
import type { NodeProcess } from './node-process.ts'
import type { StoreCluster } from './store-cluster.ts'
import { StoreLink } from './store-link.ts'

const ROUND_MS = 200
const MARKS_EVERY_MS = 1000
const ASK_NODE_TIMEOUT_MS = 800
/** A reload of nginx, with what comes before it. */
const RELOAD_MS = 300

/** What the coordinators' directory holds; survives all of them. */
export class Disk {
  readonly marks = new Map<string, Mark>()
  lastEra = 0
}

export class CoordinatorProcess {
  readonly host: Host
  readonly link: StoreLink
  recovery: Recovery
  /** Sales that its recovery would not open by itself: an alarm that somebody saw. */
  readonly alarms = new Set<string>()
  readonly #disk: Disk
  readonly #nodes: readonly NodeProcess[]
  readonly #edge: Edge
  readonly #rules: QuotaRules
  readonly #log: Log

  constructor(
    host: Host,
    cluster: StoreCluster,
    disk: Disk,
    nodes: readonly NodeProcess[],
    edge: Edge,
    rules: QuotaRules,
    log: Log,
  ) {
    this.host = host
    this.link = new StoreLink(host, cluster)
    this.#disk = disk
    this.#nodes = nodes
    this.#edge = edge
    this.#rules = rules
    this.#log = log
    this.recovery = this.#begin()
    host.onStart = () => {
      this.link.connect()
      this.recovery = this.#begin()
    }
  }

  /** The operator's decision: the sale as the store has it counts. */
  async force(saleId: string): Promise<boolean> {
    const { port } = this.link
    try {
      const [snapshot, fleet] = await Promise.all([port.sales.read(saleId, this.#rules), port.fleet.read()])
      if (snapshot === null || snapshot.certified) return false
      await this.recovery.force(saleId, snapshot, fleet.nodes)
      return true
    } catch {
      return false
    }
  }

  #begin(): Recovery {
    const { host, link } = this
    const { port } = link
    const monotonicMs = (): number => host.monotonicMs()
    const marks = this.#openMarks()
    const log: Log = {
      info: (fields, message) => this.#log.info(fields, message),
      warn: (fields, message) => this.#log.warn(fields, message),
      error: (fields, message) => {
        const { saleId } = fields as { readonly saleId?: string }
        if (saleId !== undefined && message.includes('operator must decide')) this.alarms.add(saleId)
        this.#log.error(fields, message)
      },
    }
    const recovery = new Recovery({
      port,
      eras: this.#openEras(),
      marks,
      askNode: (adminUrl) => this.#askNode(adminUrl),
      log,
      monotonicMs,
      declaredDurable: false,
    })
    const cycle = new Cycle({
      port,
      rules: this.#rules,
      leadership: new Leadership(port.fleet, { id: host.id, adminUrl: `sim://${host.id}` }, monotonicMs),
      loadBalancer: {
        apply: async (topology) => {
          await delay(host.timers, RELOAD_MS)
          return this.#edge.apply(topology)
        },
      },
      marks,
      recovery,
      log,
      monotonicMs,
      declaredDurable: false,
    })
    const round = (): void =>
      void cycle
        .tick()
        .catch(() => {})
        .then(() => host.timers.after(ROUND_MS, round))
    host.timers.after(1 + host.kernel.random.below(ROUND_MS), round)
    host.timers.every(MARKS_EVERY_MS, () => void marks.flush())
    return recovery
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

  #openMarks(): MarkBook {
    const disk = this.#disk.marks
    const marks = new Map(disk)
    return {
      note: (saleId, { era, seq }, { durable, fingerprint }) =>
        raise(marks, saleId, { era, seq, durable, fingerprint }),
      get: (saleId) => marks.get(saleId) ?? null,
      saleIds: () => [...marks.keys()],
      refresh: async () => {
        for (const [saleId, mark] of disk) raise(marks, saleId, mark)
      },
      flush: async () => {
        for (const [saleId, mark] of marks) raise(disk, saleId, mark)
      },
    }
  }

  #askNode(adminUrl: string): Promise<NodeReport | null> {
    const node = this.#nodes.find((candidate) => candidate.adminUrl === adminUrl)
    const { kernel, timers } = this.host
    return new Promise((resolve) => {
      timers.after(ASK_NODE_TIMEOUT_MS, () => resolve(null))
      if (node === undefined || !node.host.isUp) {
        timers.after(1, () => resolve(null))
        return
      }
      const { life } = this.host
      kernel.schedule(node.host, 1, 'state', () => {
        const report = node.report() as NodeReport
        kernel.schedule(null, 1, 'state', () => {
          if (this.host.life === life) kernel.schedule(this.host, 0, 'state', () => resolve(report))
        })
      })
    })
  }
}

/** A mark is raised, never lowered; the same version again may change what is known of durability. */
function raise(into: Map<string, Mark>, saleId: string, mark: Mark): void {
  const known = into.get(saleId)
  const order = known === undefined ? 1 : compareVersions(mark, known)
  if (order > 0 || (order === 0 && mark.durable !== known?.durable)) into.set(saleId, mark)
}
