/**
 * A node's place in the fleet: joins, sends heartbeats, hears its state and weight and which sales there are.
 *
 * Being declared dead while paused shows as a fence; the node then joins anew as live. One that an operator has taken
 * out of the traffic says so again at once: neither a pause nor a new life of the store brings it back.
 */
import type { Logger } from '../runtime/logger.ts'
import type { FleetStore, NodeState } from '../stock/port.ts'

export interface FleetNews {
  readonly state: NodeState
  readonly weight: number
  readonly saleIds: readonly string[]
}

/** What a node says of itself. */
export interface Self {
  readonly id: string
  readonly url: string
  readonly adminUrl: string
  /** Share that a node new to the fleet asks for. */
  readonly weight: number
}

export class FleetMember {
  epoch = 0
  state: NodeState = 'live'
  readonly #fleet: FleetStore
  readonly #logger: Logger
  readonly #self: Self
  #isJoined = false
  #isBusy = false
  /** Declared dead while it drains, a node does not come back as live. */
  #isLeaving = false

  constructor(fleet: FleetStore, logger: Logger, self: Self) {
    this.#fleet = fleet
    this.#logger = logger
    this.#self = self
  }

  get id(): string {
    return this.#self.id
  }

  get isJoined(): boolean {
    return this.#isJoined
  }

  /** Joins if need be, and reports; null when the fleet could not be heard. */
  async heartbeat(): Promise<FleetNews | null> {
    if (this.#isBusy) return null
    this.#isBusy = true
    try {
      if (!this.#isJoined && (this.#isLeaving || !(await this.#join()))) return null
      const reply = await this.#fleet.heartbeat({ id: this.#self.id, epoch: this.epoch })
      // A store that came back as an older copy hands out epochs again that it had handed out before: the one it
      // gave to the judgement "dead" may be the one this node got in the life that was lost.
      const isDead = reply.outcome === 'alive' && reply.state === 'dead'
      if (reply.outcome !== 'alive' || isDead) {
        this.#isJoined = false
        this.#logger.info({ outcome: isDead ? 'dead' : reply.outcome, epoch: this.epoch }, 'out of the fleet')
        return null
      }
      this.state = reply.state
      return { state: reply.state, weight: reply.weight, saleIds: reply.saleIds }
    } catch (error) {
      this.#logger.debug({ err: error }, 'the fleet could not be heard')
      return null
    } finally {
      this.#isBusy = false
    }
  }

  /** Says that this process ends: from now on it does not join anew. */
  async announceEnd(state: 'draining' | 'drained'): Promise<void> {
    this.#isLeaving = true
    await this.#fleet.setNodes(null, [{ id: this.#self.id, expectedEpoch: this.epoch, state }])
    this.state = state
  }

  /** From draining to drained, unless the operator has changed anything meanwhile; false: look again. */
  async settleDrained(): Promise<boolean> {
    const { nodes, version } = await this.#fleet.read()
    const self = nodes.find(({ id }) => id === this.#self.id)
    if (self === undefined || self.epoch !== this.epoch || self.state !== 'draining') return false
    const change = { id: self.id, expectedEpoch: self.epoch, state: 'drained' } as const
    const { outcome } = await this.#fleet.setNodes(null, [change], version)
    if (outcome !== 'changed') return false
    this.state = 'drained'
    return true
  }

  async #join(): Promise<boolean> {
    const reply = await this.#fleet.join(this.#self)
    if (reply.outcome !== 'joined') return false
    const { state } = this
    if (state === 'draining' || state === 'drained') {
      await this.#fleet.setNodes(null, [{ id: this.#self.id, expectedEpoch: reply.epoch, state }])
    }
    this.epoch = reply.epoch
    this.#isJoined = true
    this.#logger.info({ epoch: reply.epoch, weight: reply.weight }, 'in the fleet')
    return true
  }
}
