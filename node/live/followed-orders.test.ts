import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Order } from '../../stock/core/words.ts'
import { FollowedOrders } from './followed-orders.ts'

function order(id: string, buyer: string, changes: number): Order {
  const state = (['held', 'paid', 'released'] as const)[changes] ?? 'released'
  return {
    id,
    fareId: 'second',
    quantity: 1,
    buyer,
    state,
    reason: state === 'released' ? 'refunded' : null,
    createdAtMs: 1,
    createdSeq: 1,
    paidAtMs: null,
    paidSeq: changes > 0 ? 2 : null,
    releasedAtMs: null,
    releasedSeq: changes > 1 ? 3 : null,
  }
}

/** A store with events, whose readings are answered by what it was when they were made. */
class World {
  readonly followed = new FollowedOrders<string>()
  readonly orders = new Map<string, { buyer: string; changes: number }>()
  /** What each follower was last told of each order. */
  readonly told = new Map<string, Map<string, string>>()
  readonly #events: { orderIds: string[]; buyers: string[]; settled: string[] } = this.#noEvents()
  readonly #following = new Map<string, string>()

  #noEvents() {
    return { orderIds: [] as string[], buyers: [] as string[], settled: [] as string[] }
  }

  follow(follower: string, buyer: string): void {
    const before = this.#following.get(follower)
    if (before !== undefined) this.followed.unfollow(before, follower)
    this.#following.set(follower, buyer)
    this.told.set(follower, new Map())
    this.followed.follow(buyer, follower)
  }

  make(id: string, buyer: string): void {
    if (this.orders.has(id)) return
    this.orders.set(id, { buyer, changes: 0 })
    this.#events.orderIds.push(id)
    this.#events.buyers.push(buyer)
  }

  settle(id: string): void {
    const found = this.orders.get(id)
    if (found === undefined || found.changes === 2) return
    found.changes += 1
    this.#events.settled.push(id)
  }

  hearEvents(): void {
    const { orderIds, buyers, settled } = this.#events
    this.followed.mark({ orderIds: orderIds.splice(0), buyers: buyers.splice(0), settled: settled.splice(0) })
  }

  loseEvents(): void {
    this.#events.orderIds.length = 0
    this.#events.buyers.length = 0
    this.#events.settled.length = 0
    this.followed.markAll()
  }

  /** One reading; `between` happens after the store has answered and before the answer is here. */
  read(between: () => void): void {
    const reading = this.followed.take()
    const orders = reading.orderIds.map((id) => this.#orderOf(id))
    const lists = reading.buyers.map((buyer) =>
      [...this.orders].filter(([, one]) => one.buyer === buyer).map(([id]) => this.#orderOf(id)),
    )
    between()
    const tell = (follower: string, one: Order): void => {
      this.told.get(follower)?.set(one.id, one.state)
    }
    for (const one of orders) this.followed.hearOrder(one, tell)
    for (const [i, buyer] of reading.buyers.entries()) this.followed.hearList(buyer, lists[i] ?? [], tell)
  }

  faults(): string[] {
    return [...this.#following].flatMap(([follower, buyer]) =>
      [...this.orders]
        .filter(([, one]) => one.buyer === buyer)
        .map(([id]) => ({ id, is: this.#orderOf(id).state, heard: this.told.get(follower)?.get(id) }))
        .filter(({ is, heard }) => is !== heard)
        .map(({ id, is, heard }) => `${follower} believes ${id} of ${buyer} ${heard}, it is ${is}`),
    )
  }

  #orderOf(id: string): Order {
    const { buyer, changes } = this.orders.get(id) ?? { buyer: '', changes: 0 }
    return order(id, buyer, changes)
  }
}

const id = fc.constantFrom('a1', 'a2', 'b1', 'b2')
const act = fc.oneof(
  fc.record({ do: fc.constant('make' as const), id }),
  fc.record({ do: fc.constant('settle' as const), id }),
  fc.record({
    do: fc.constant('follow' as const),
    follower: fc.constantFrom('x', 'y'),
    buyer: fc.constantFrom('a', 'b'),
  }),
  fc.record({ do: fc.constantFrom('events' as const, 'gap' as const) }),
)
const step = fc.oneof(act, fc.record({ do: fc.constant('read' as const), between: fc.array(act, { maxLength: 3 }) }))

function perform(world: World, what: typeof step extends fc.Arbitrary<infer S> ? S : never): void {
  switch (what.do) {
    case 'make':
      return world.make(what.id, what.id.slice(0, 1))
    case 'settle':
      return world.settle(what.id)
    case 'follow':
      return world.follow(what.follower, what.buyer)
    case 'events':
      return world.hearEvents()
    case 'gap':
      return world.loseEvents()
    case 'read':
      return world.read(() => {
        for (const one of what.between) perform(world, one)
      })
  }
}

describe('followed orders', () => {
  it('are told to everybody who follows them, in their last state, whatever comes between', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const world = new World()
        for (const one of steps) perform(world, one)
        world.hearEvents()
        for (let round = 0; world.followed.hasToRead && round < 5; round += 1) world.read(() => {})
        expect(world.followed.hasToRead).toBe(false)
        expect(world.faults()).toEqual([])
      }),
      { numRuns: 2000 },
    )
  })

  it('are told once, not at every reading', () => {
    const world = new FollowedOrders<string>()
    const told: string[] = []
    const tell = (follower: string, one: Order): void => void told.push(`${follower} ${one.id} ${one.state}`)
    world.follow('ann', 'x')
    expect(world.take().buyers).toEqual(['ann'])
    world.hearList('ann', [order('a', 'ann', 0)], tell)
    // Read once more after the list.
    expect(world.take().orderIds).toEqual(['a'])
    world.hearOrder(order('a', 'ann', 0), tell)
    expect(told).toEqual(['x a held'])
    world.mark({ orderIds: [], buyers: [], settled: ['a', 'unknown'] })
    expect(world.take()).toEqual({ buyers: [], orderIds: ['a'] })
    world.hearOrder(order('a', 'ann', 1), tell)
    world.hearOrder(order('a', 'ann', 1), tell)
    expect(told).toEqual(['x a held', 'x a paid'])
  })

  it('that change while the list is on its way are read once more', () => {
    const world = new World()
    world.make('a1', 'a')
    world.hearEvents()
    world.follow('x', 'a')
    world.read(() => {
      world.settle('a1')
      world.hearEvents()
    })
    world.read(() => {})
    expect(world.told.get('x')).toEqual(new Map([['a1', 'paid']]))
  })

  it('come with the list to whoever came while another list was on its way', () => {
    const world = new World()
    world.make('a1', 'a')
    world.hearEvents()
    world.follow('x', 'a')
    world.read(() => {
      world.make('a2', 'a')
      world.follow('y', 'a')
    })
    world.hearEvents()
    world.read(() => {})
    for (const follower of ['x', 'y'])
      expect([...(world.told.get(follower)?.keys() ?? [])].toSorted()).toEqual(['a1', 'a2'])
  })

  it('read before the list are told with it, not twice', () => {
    const followed = new FollowedOrders<string>()
    const told: string[] = []
    const tell = (follower: string, one: Order): void => void told.push(`${follower} ${one.id} ${one.state}`)
    followed.follow('ann', 'x')
    followed.mark({ orderIds: ['a'], buyers: ['ann'], settled: [] })
    followed.take()
    followed.hearOrder(order('a', 'ann', 0), tell)
    followed.hearList('ann', [order('a', 'ann', 0)], tell)
    expect(told).toEqual(['x a held'])
  })

  it('of a buyer whom nobody follows any more are forgotten', () => {
    const world = new FollowedOrders<string>()
    world.follow('ann', 'x')
    world.mark({ orderIds: ['a'], buyers: ['ann'], settled: [] })
    world.unfollow('ann', 'x')
    world.mark({ orderIds: ['b'], buyers: ['ann'], settled: ['a'] })
    expect([world.isFollowing, world.take().buyers]).toEqual([false, []])
    world.putBack({ buyers: ['ann'], orderIds: ['a'] })
    expect(world.hasToRead).toBe(false)
  })

  it('are read in bounded portions, and again after a failure', () => {
    const world = new FollowedOrders<string>()
    for (let i = 0; i < 450; i += 1) world.follow(`b${i}`, 'x')
    const reading = world.take()
    expect(reading.buyers).toHaveLength(200)
    world.putBack(reading)
    expect([world.take(), world.take(), world.take()].map(({ buyers }) => buyers.length)).toEqual([200, 200, 50])
    expect(world.hasToRead).toBe(false)
  })
})
