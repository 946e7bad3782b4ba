/**
 * What nodes say of a sale that does not sell. Every node is asked, whatever the fleet calls it: one that was declared
 * dead meanwhile has still seen what it has seen. What was once heard counts as long as the case is open, and raises the
 * mark, so that neither the death of the witness nor that of this process makes a store look whole that is not. Only
 * live nodes are waited for.
 */
import type { AskNode, SaleReport } from '../../http/node-report.ts'
import { compareVersions, type Version } from '../../stock/core/words.ts'
import type { FleetNode } from '../../stock/port.ts'
import type { Marks } from './marks.ts'
import type { NodeTestimony } from './reopen.ts'

/** By node that answers now: what it says of the sale, null when it does not know it. */
export type Reports = ReadonlyMap<string, SaleReport | null>

export interface Heard {
  /** The most that each node said in the open case. */
  readonly testimonies: readonly NodeTestimony[]
  readonly reports: Reports
}

export class Hearing {
  readonly #askNode: AskNode
  readonly #marks: Marks
  /** By sale and node. */
  readonly #heard = new Map<string, Map<string, NodeTestimony>>()

  constructor(askNode: AskNode, marks: Marks) {
    this.#askNode = askNode
    this.#marks = marks
  }

  async hear(saleId: string, nodes: readonly FleetNode[]): Promise<Heard> {
    const reports = new Map<string, SaleReport | null>()
    const heard = this.#heard.get(saleId) ?? new Map<string, NodeTestimony>()
    this.#heard.set(saleId, heard)
    await Promise.all(
      nodes.map(async ({ id, adminUrl, state }) => {
        const report = await this.#askNode(adminUrl)
        const sale = report?.sales.find((candidate) => candidate.saleId === saleId) ?? null
        const known = heard.get(id)?.reply?.known ?? null
        if (report !== null) reports.set(id, sale)
        if (sale !== null) {
          if (known === null || compareVersions(sale, known) >= 0) heard.set(id, { nodeId: id, reply: { known: sale } })
          this.#raiseMark(saleId, sale)
        } else if (report !== null && known === null) heard.set(id, { nodeId: id, reply: { known: null } })
        else if (!heard.has(id) && (state === 'live' || state === 'draining')) {
          heard.set(id, { nodeId: id, reply: null })
        }
      }),
    )
    await this.#marks.flush()
    return { testimonies: [...heard.values()], reports }
  }

  /** The case is closed. */
  forget(saleId: string): void {
    this.#heard.delete(saleId)
  }

  /** What a node has seen says nothing about durability: that stays as it was known, and unknown is no. */
  #raiseMark(saleId: string, version: Version): void {
    const mark = this.#marks.get(saleId)
    if (mark !== null && compareVersions(version, mark) > 0) this.#marks.note(saleId, version, mark)
  }
}
