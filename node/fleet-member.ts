/**
 * A node's place in the fleet: joins, sends heartbeats, hears its state and weight and which sales there are.
 *
 * Being declared dead while paused shows as a fence; the node then joins anew as live.
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
      if (reply.outcome !== 'alive') {
        this.#isJoined = false
        this.#logger.info({ outcome: reply.outcome, epoch: this.epoch }, 'out of the fleet')
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

  /** Says what this node itself is about to do. */
  async announce(state: 'draining' | 'drained'): Promise<void> {
    this.#isLeaving = true
    await this.#fleet.setNodes(null, [{ id: this.#self.id, expectedEpoch: this.epoch, state }])
    this.state = state
  }

  async #join(): Promise<boolean> {
    const reply = await this.#fleet.join(this.#self)
    if (reply.outcome !== 'joined') return false
    this.epoch = reply.epoch
    this.#isJoined = true
    this.#logger.info({ epoch: reply.epoch, weight: reply.weight }, 'in the fleet')
    return true
  }
}
