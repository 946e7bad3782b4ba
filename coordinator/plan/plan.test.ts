import { describe, expect, it } from 'vitest'
import type { Judge, ObservedNode } from './liveness.ts'
import { plan, type Action, type Observed, type ObservedSale, type ObservedSaleNode } from './plan.ts'
import { topologyOf, type Topology } from './topology.ts'

const NOW = 100_000
const awake: Judge = { deadAfterMs: 1500, uninterruptedMs: 10_000 }
const version = { era: 1, seq: 7 }
const ORDERS = [{ id: 'o1', url: 'http://127.0.0.1/o1' }]

function node(id: string, change: Partial<ObservedNode> = {}): ObservedNode {
  return { id, epoch: 1, state: 'live', weight: 1, url: `http://127.0.0.1/${id}`, lastSeenMs: NOW - 100, ...change }
}

function member(id: string, change: Partial<ObservedSaleNode> = {}): ObservedSaleNode {
  return { id, epoch: 3, weight: 1, lastSeenMs: NOW - 100, ...change }
}

function sale(nodes: readonly ObservedSaleNode[], change: Partial<ObservedSale> = {}): ObservedSale {
  return { saleId: 'demo', nowMs: NOW, certified: true, nodes, ...change }
}

function observed(nodes: readonly ObservedNode[], sales: readonly ObservedSale[], applied?: Topology | null): Observed {
  const settled = topologyOf({ era: 1, seq: 1 }, nodes, ORDERS)
  return {
    nowMs: NOW,
    fleetVersion: version,
    nodes,
    orders: ORDERS,
    sales,
    applied: applied === undefined ? settled : applied,
  }
}

const kinds = (actions: readonly Action[]) => actions.map(({ kind }) => kind)
const silent = { lastSeenMs: NOW - 1501 }

describe('a quiet fleet', () => {
  it('needs nothing', () => {
    expect(plan(observed([node('n1'), node('n2')], [sale([member('n1'), member('n2')])]), awake)).toEqual([])
  })

  it('is not judged at exactly deadAfterMs of silence', () => {
    const edge = { lastSeenMs: NOW - 1500 }
    expect(plan(observed([node('n1', edge)], [sale([member('n1', edge)])]), awake)).toEqual([])
  })
})

describe('what the load balancer does', () => {
  const before = topologyOf({ era: 1, seq: 6 }, [node('n1'), node('n2')], ORDERS)
  const look = (nodes: readonly ObservedNode[], noted: { era: number; seq: number }) =>
    plan({ ...observed(nodes, [], before), noted }, awake)

  it('is noted up to a version that changes nothing for it', () => {
    expect(look([node('n1'), node('n2')], { era: 1, seq: 6 })).toEqual([{ kind: 'note_applied', version }])
    expect(look([node('n1'), node('n2')], version)).toEqual([])
  })

  it('is not noted before it does it', () => {
    const nodes = [node('n1', { state: 'draining' }), node('n2')]
    expect(kinds(look(nodes, { era: 1, seq: 6 }))).toEqual(['apply_topology'])
  })
})

describe('a death', () => {
  it('is declared, and fenced in every sale at the epoch seen there', () => {
    const nodes = [node('n1', { epoch: 4, ...silent }), node('n2')]
    const sales = [
      sale([member('n1', { epoch: 6, ...silent }), member('n2')]),
      sale([member('n1', { epoch: 2, ...silent })], { saleId: 'other' }),
    ]
    expect(plan(observed(nodes, sales), awake)).toEqual([
      { kind: 'declare_dead', nodes: [{ id: 'n1', epoch: 4 }] },
      { kind: 'set_weights', saleId: 'demo', weights: { n1: 0 }, fence: [{ id: 'n1', epoch: 6 }] },
      { kind: 'set_weights', saleId: 'other', weights: { n1: 0 }, fence: [{ id: 'n1', epoch: 2 }] },
    ])
  })

  it('leaves nginx with the version of the record that says dead', () => {
    const before = topologyOf({ era: 1, seq: 6 }, [node('n1'), node('n2')], ORDERS)
    const actions = plan(observed([node('n1', { state: 'dead' }), node('n2')], [], before), awake)
    expect(actions).toEqual([
      {
        kind: 'apply_topology',
        topology: { version, servers: [{ id: 'n2', url: 'http://127.0.0.1/n2', weight: 1 }], orders: ORDERS },
      },
    ])
  })

  it('is finished by the next leader: dead in the fleet, not yet fenced in the sale', () => {
    const nodes = [node('n1', { state: 'dead', ...silent })]
    const actions = plan(observed(nodes, [sale([member('n1', silent)])]), awake)
    expect(actions).toEqual([
      { kind: 'set_weights', saleId: 'demo', weights: { n1: 0 }, fence: [{ id: 'n1', epoch: 3 }] },
    ])
  })

  it('is over once done: no second fence', () => {
    const nodes = [node('n1', { state: 'dead', ...silent })]
    expect(plan(observed(nodes, [sale([member('n1', { weight: 0, ...silent })])]), awake)).toEqual([])
  })

  it('comes to a draining node too, not to one that left in good order', () => {
    expect(kinds(plan(observed([node('n1', { state: 'draining', ...silent })], []), awake))).toEqual(['declare_dead'])
    expect(plan(observed([node('n1', { state: 'drained', ...silent })], []), awake)).toEqual([])
  })

  it('fences a member of a sale whom the fleet does not know', () => {
    const actions = plan(observed([], [sale([member('n9', silent)])]), awake)
    expect(actions).toEqual([
      { kind: 'set_weights', saleId: 'demo', weights: { n9: 0 }, fence: [{ id: 'n9', epoch: 3 }] },
    ])
  })

  it('of all nodes at once is a death when the judge was awake', () => {
    const nodes = [node('n1', silent), node('n2', silent)]
    expect(kinds(plan(observed(nodes, []), awake))).toEqual(['declare_dead'])
  })
})

describe('a judge that was deaf', () => {
  const slow: Judge = { deadAfterMs: 1500, uninterruptedMs: 1499 }

  it('declares nobody, though all are silent', () => {
    const nodes = [node('n1', silent), node('n2', silent)]
    expect(plan(observed(nodes, [sale([member('n1', silent), member('n2', silent)])]), slow)).toEqual([])
  })

  it('fences nobody in a sale, even one the fleet calls dead', () => {
    const nodes = [node('n1', { state: 'dead', ...silent })]
    expect(plan(observed(nodes, [sale([member('n1', silent)])]), slow)).toEqual([])
  })

  it('still sets weights and the topology', () => {
    const actions = plan(observed([node('n1', { weight: 3 })], [sale([member('n1')])], null), slow)
    expect(kinds(actions)).toEqual(['set_weights', 'apply_topology'])
  })

  it('may judge at exactly deadAfterMs', () => {
    expect(kinds(plan(observed([node('n1', silent)], []), { ...slow, uninterruptedMs: 1500 }))).toEqual([
      'declare_dead',
    ])
  })
})

describe('a paused node that wakes', () => {
  it('is not fenced in the epoch it joined the sale with, though the fleet record still says dead', () => {
    const nodes = [node('n1', { state: 'dead', ...silent })]
    expect(plan(observed(nodes, [sale([member('n1', { epoch: 4 })])]), awake)).toEqual([])
  })

  it('is back in nginx and in the shares once it joined the fleet anew', () => {
    const nodes = [node('n1', { epoch: 5, weight: 2 }), node('n2')]
    const without = topologyOf({ era: 1, seq: 6 }, [node('n2')], ORDERS)
    const actions = plan(observed(nodes, [sale([member('n1', { weight: 0 }), member('n2')])], without), awake)
    expect(actions).toEqual([
      { kind: 'set_weights', saleId: 'demo', weights: { n1: 2 }, fence: [] },
      { kind: 'apply_topology', topology: topologyOf(version, nodes, ORDERS) },
    ])
  })

  it('flapping: each life is judged by its own epoch', () => {
    let epoch = 1
    for (let life = 0; life < 3; life++) {
      const dying = [node('n1', { epoch, ...silent })]
      expect(plan(observed(dying, []), awake)).toEqual([{ kind: 'declare_dead', nodes: [{ id: 'n1', epoch }] }])
      epoch += 2
      expect(plan(observed([node('n1', { epoch })], []), awake)).toEqual([])
    }
  })
})

describe('weights', () => {
  it('follow the fleet, are at least 1 for a live node, 0 for one that has drained; draining it keeps its own', () => {
    const nodes = [
      node('n1', { weight: 4 }),
      node('n2', { weight: 0 }),
      node('n3', { state: 'draining' }),
      node('n4', { state: 'drained' }),
    ]
    const members = nodes.map(({ id }) => member(id, { weight: 9 }))
    expect(plan(observed(nodes, [sale(members)]), awake)).toEqual([
      { kind: 'set_weights', saleId: 'demo', weights: { n1: 4, n2: 1, n4: 0 }, fence: [] },
    ])
  })

  it('that an operator gave a sale come before the fleet’s, for the nodes named that are live', () => {
    const nodes = [node('n1', { weight: 4 }), node('n2', { weight: 2 }), node('n3', { state: 'drained' })]
    const shares = { n1: 7, n3: 5 }
    const members = nodes.map(({ id }) => member(id, { weight: 1 }))
    expect(plan(observed(nodes, [sale(members, { shares })]), awake)).toEqual([
      { kind: 'set_weights', saleId: 'demo', weights: { n1: 7, n2: 2, n3: 0 }, fence: [] },
    ])
  })

  it('by demand count unless an operator has said otherwise, and rest where nothing is asked', () => {
    const nodes = [node('n1', { weight: 4 }), node('n2')]
    const members = [member('n1', { weight: 60 }), member('n2', { weight: 40 })]
    const weightsOf = (change: Partial<ObservedSale>) => plan(observed(nodes, [sale(members, change)]), awake)
    expect(weightsOf({ demand: { n1: 75, n2: 25 } })).toMatchObject([{ weights: { n1: 75, n2: 25 } }])
    expect(weightsOf({ demand: null })).toEqual([])
    expect(weightsOf({ demand: { n1: 75, n2: 25 }, shares: { n1: 1, n2: 1 } })).toMatchObject([
      { weights: { n1: 1, n2: 1 } },
    ])
  })

  it('are the same in nginx as in the quota', () => {
    const nodes = [node('n1', { weight: 4 }), node('n2', { weight: 0 })]
    const { servers } = topologyOf(version, nodes, ORDERS)
    expect(servers.map(({ id, weight }) => [id, weight])).toEqual([
      ['n1', 4],
      ['n2', 1],
    ])
  })

  it('of a sale that recovers are left alone', () => {
    const recovering = sale([member('n1', { weight: 9, ...silent })], { certified: false })
    expect(plan(observed([node('n1')], [recovering]), awake)).toEqual([])
  })
})

describe('the topology', () => {
  const nodes = [node('n2'), node('n1')]

  it('goes out when nobody knows what the load balancer has', () => {
    expect(plan(observed(nodes, [], null), awake)).toEqual([
      { kind: 'apply_topology', topology: topologyOf(version, nodes, ORDERS) },
    ])
  })

  it('is in the order of ids, whatever the order observed', () => {
    expect(topologyOf(version, nodes, ORDERS).servers.map(({ id }) => id)).toEqual(['n1', 'n2'])
  })

  it('does not go out again for a new version that says the same', () => {
    expect(plan(observed(nodes, [], topologyOf({ era: 1, seq: 2 }, nodes, ORDERS)), awake)).toEqual([])
  })

  it('does not go out when what is applied is newer than what was observed', () => {
    const newer = topologyOf({ era: 1, seq: 8 }, [node('n1')], ORDERS)
    expect(plan(observed(nodes, [], newer), awake)).toEqual([])
    expect(plan(observed(nodes, [], { ...newer, version: { era: 2, seq: 1 } }), awake)).toEqual([])
  })

  it('goes out for another address of the same node', () => {
    const moved = [node('n1', { url: 'http://127.0.0.1/elsewhere' }), node('n2')]
    expect(kinds(plan(observed(moved, [], topologyOf({ era: 1, seq: 2 }, nodes, ORDERS)), awake))).toEqual([
      'apply_topology',
    ])
  })

  it('goes out for an orders process that came, went or moved', () => {
    for (const orders of [[], [{ id: 'o1', url: 'http://127.0.0.1/elsewhere' }]]) {
      const before = topologyOf({ era: 1, seq: 2 }, nodes, orders)
      expect(kinds(plan(observed(nodes, [], before), awake))).toEqual(['apply_topology'])
    }
  })

  it('of a fleet without a live node is empty', () => {
    expect(topologyOf(version, [node('n1', { state: 'dead' })], ORDERS).servers).toEqual([])
  })
})
