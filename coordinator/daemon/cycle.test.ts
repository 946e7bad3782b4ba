import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DEMO, DEMO_FILE, TestNode, testWorld, type TestWorld } from '../operations/testing/test-world.ts'
import type { Topology } from '../plan/topology.ts'
import { answerAdmin, type AdminParts } from './admin-routes.ts'
import { Cycle } from './cycle.ts'
import type { AdminAnswer } from '../../http/admin-server.ts'
import { openEraBook } from './eras.ts'
import { Leadership } from './leadership.ts'
import { SILENT } from '../../runtime/log.ts'
import { TestEdge } from './testing/mortal-leader.ts'

interface TestCoordinator extends AdminParts {
  readonly applied: Topology[]
  round(): Promise<void>
}

const NO_QUERY = new URLSearchParams()
let directory = ''
/** What happens while the load balancer is busy. */
let whileApplying = async (): Promise<void> => {}
let world: TestWorld
let edge: TestEdge
let c1: TestCoordinator
let n1: TestNode
let n2: TestNode

async function coordinator(id: string): Promise<TestCoordinator> {
  const { port, rules, monotonicMs } = world
  const eras = await openEraBook(directory)
  const applied: Topology[] = []
  const loadBalancer = {
    async apply(topology: Topology) {
      await whileApplying()
      const mark = await edge.apply(topology)
      if (mark !== null) applied.push(topology)
      return mark
    },
    inForce: () => edge.inForce(),
  }
  const leadership = new Leadership(port.fleet, { id, adminUrl: `http://${id}` }, monotonicMs)
  const cycle = new Cycle({ port, rules, leadership, loadBalancer, eras, log: SILENT, monotonicMs })
  return {
    world,
    leadership,
    cycle,
    declaredDurable: false,
    applied,
    async round() {
      await cycle.tick()
      await cycle.settled()
    },
  }
}

/** Rounds of 200 ms in which these nodes speak. */
async function go(ms: number, speaking: readonly TestNode[], ...coordinators: TestCoordinator[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 200) {
    world.advance(200)
    for (const node of speaking) await node.heartbeat()
    await world.process.round()
    for (const one of coordinators.length > 0 ? coordinators : [c1]) await one.round()
  }
}

async function demo() {
  const snapshot = await world.port.sales.read('demo', world.rules)
  if (snapshot === null) throw new Error('no sale')
  return snapshot
}

async function stateOf(nodeId: string): Promise<string | undefined> {
  return (await world.port.fleet.read()).nodes.find(({ id }) => id === nodeId)?.state
}

function idsOf(topology: Topology | undefined): string[] | undefined {
  return topology?.servers.map(({ id }) => id)
}

beforeEach(async () => {
  whileApplying = async () => {}
  directory = await mkdtemp(join(tmpdir(), 'farebox-cycle-'))
  world = testWorld()
  edge = new TestEdge()
  c1 = await coordinator('c1')
  world.restartStore()
  await c1.round()
  await post('/admin/sales', DEMO_FILE)
  await post('/admin/sales/demo/open')
  n1 = new TestNode(world, 'n1')
  n2 = new TestNode(world, 'n2')
  for (const node of [n1, n2]) {
    await node.joinFleet()
    await node.join()
  }
  await go(2000, [n1, n2])
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

describe('a leader', () => {
  it('certifies a fleet record that is not, under an era of the book', async () => {
    expect((await world.port.fleet.read()).version.era).toBe(1)
    expect(c1.cycle.role()).toBe('leading')
  })

  it('brings live nodes to the load balancer once', () => {
    expect(idsOf(c1.applied.at(-1))).toEqual(['n1', 'n2'])
    expect(c1.applied.filter((topology) => topology.servers.length === 2)).toHaveLength(1)
  })

  it('applies again what was under way when its lease ended', async () => {
    whileApplying = async () => {
      whileApplying = async () => {}
      world.restartStore()
      await c1.cycle.tick()
      await n1.joinFleet()
      await n2.joinFleet()
    }
    await go(2200, [n2])
    expect(c1.applied.map((topology) => idsOf(topology)?.join())).toContain('n2')
    await go(1000, [n1, n2])
    expect(idsOf(c1.applied.at(-1))).toEqual(['n1', 'n2'])
  })

  it('applies again what it had applied when another led in between, unseen', async () => {
    const before = c1.applied.length
    const c2 = await coordinator('c2')
    await go(4000, [n1, n2], c2)
    expect(c2.cycle.role()).toBe('leading')
    await c2.leadership.resign()
    await go(400, [n1, n2], c1)
    expect(c1.applied).toHaveLength(before + 1)
    expect(idsOf(c1.applied.at(-1))).toEqual(['n1', 'n2'])
  })

  it('begins a new era of the fleet when an older copy of its record came back', async () => {
    const { fleetRecord } = world.stock
    const copy = structuredClone(fleetRecord)
    for (let times = 0; times < 10; times += 1) await n2.joinFleet()
    await go(2200, [n2])
    expect(idsOf(c1.applied.at(-1))).toEqual(['n2'])
    Object.assign(fleetRecord, copy)
    await n1.joinFleet()
    await n2.joinFleet()
    await go(3000, [n1, n2])
    expect(idsOf(c1.applied.at(-1))).toEqual(['n1', 'n2'])
    expect((await world.port.fleet.read()).version.era).toBeGreaterThan(copy.era)
  })

  it('begins a new era when an older copy went on to the very version of the plan in force', async () => {
    const { fleetRecord } = world.stock
    let copy = structuredClone(fleetRecord)
    for (let rounds = 0; rounds < 20 && idsOf(c1.applied.at(-1))?.join() !== 'n2'; rounds += 1) {
      if ((await stateOf('n1')) === 'live') copy = structuredClone(fleetRecord)
      await go(200, [n2])
    }
    expect(idsOf(c1.applied.at(-1))).toEqual(['n2'])
    // So short a time ago that the lease is the same: nothing but the record itself tells its leader.
    Object.assign(fleetRecord, copy)
    await n1.joinFleet()
    expect((await world.port.fleet.read()).version).toEqual(c1.applied.at(-1)?.version)
    await go(3000, [n1, n2])
    expect(idsOf(c1.applied.at(-1))).toEqual(['n1', 'n2'])
  })

  it('does not leave in force what a leader of another history wakes to apply, though it is newer', async () => {
    const { fleetRecord } = world.stock
    const copy = structuredClone(fleetRecord)
    // In a history that will be no more, n1 dies, and the leader who takes it out of nginx falls asleep before that.
    for (let times = 0; times < 10; times += 1) await n2.joinFleet()
    const { version } = await world.port.fleet.read()
    const late = { version, servers: [{ id: 'n2', url: 'http://n2', weight: 1 }], orders: [] }
    Object.assign(fleetRecord, copy)
    await n1.joinFleet()
    await n2.joinFleet()
    await go(400, [n1, n2])
    expect(idsOf(edge.history.at(-1))).toEqual(['n1', 'n2'])
    expect(await edge.apply(late)).not.toBeNull()
    await go(600, [n1, n2])
    expect(idsOf(edge.history.at(-1))).toEqual(['n1', 'n2'])
    expect((await world.port.fleet.read()).version.era).toBeGreaterThan(late.version.era)
    const { length } = edge.history
    await go(2000, [n1, n2])
    expect(edge.history).toHaveLength(length)
  })

  it('meets a rival, who leads with a store of its own, with another plan every few seconds and not more often', async () => {
    const { length } = edge.history
    for (let passed = 0; passed < 12_000; passed += 200) {
      const { era, seq } = edge.history.at(-1)?.version ?? { era: 0, seq: 0 }
      if (idsOf(edge.history.at(-1))?.join() === 'n1,n2') {
        await edge.apply({ version: { era, seq: seq + 5 }, servers: [], orders: [] })
      }
      await go(200, [n1, n2])
    }
    const own = edge.history.slice(length).filter((topology) => idsOf(topology)?.join() === 'n1,n2')
    expect(own.length).toBeGreaterThanOrEqual(2)
    expect(own.length).toBeLessThanOrEqual(4)
  })

  it('declares a silent node dead, fences it in the sale, takes it out of nginx, and then rests', async () => {
    await go(2200, [n2])
    expect(await stateOf('n1')).toBe('dead')
    expect(idsOf(c1.applied.at(-1))).toEqual(['n2'])
    const sale = await demo()
    expect(sale.nodes.find(({ id }) => id === 'n1')).toMatchObject({ epoch: 2, weight: 0 })
    expect(await n1.sell('ghost', 'zoe')).toBe('fenced')
    await go(1000, [n2])
    expect((await demo()).version).toEqual(sale.version)
  })

  it('takes a paused node back when it has joined anew', async () => {
    await go(2200, [n2])
    expect(await n1.heartbeat()).toEqual(['fenced', 'fenced'])
    n1.seen = (await demo()).version
    await n1.joinFleet()
    await n1.join()
    await go(400, [n1, n2])
    expect(await stateOf('n1')).toBe('live')
    expect(idsOf(c1.applied.at(-1))).toEqual(['n1', 'n2'])
    expect(await n1.sell('o1', 'alice')).toBe('held')
  })

  it('that slept judges nobody by what it missed', async () => {
    world.advance(60_000)
    await c1.round()
    expect(await stateOf('n1')).toBe('live')
    await go(1600, [n1, n2])
    expect(await stateOf('n1')).toBe('live')
  })

  it('makes no act after the lease has lapsed', async () => {
    expect(c1.leadership.lease()).not.toBeNull()
    world.advance(1500)
    expect(c1.leadership.lease()).toBeNull()
  })
})

describe('what is told', () => {
  it('has every change of a sale’s state, whoever or whatever changed it', async () => {
    const said: string[] = []
    const log = { ...SILENT, info: (_fields: object, text: string) => void said.push(text) }
    const { port, rules, monotonicMs } = world
    const { leadership } = c1
    const parts = { port, rules, leadership, loadBalancer: edge, eras: await openEraBook(directory), monotonicMs }
    const cycle = new Cycle({ ...parts, log })
    await cycle.tick()
    await world.port.sales.change('demo', 'pause', (await demo()).version)
    await cycle.tick()
    await cycle.tick()
    expect(said.filter((text) => text.startsWith('sale '))).toEqual(['sale demo was open, is paused'])
  })
})

describe('two coordinators', () => {
  it('one leads; the other takes over when the first is gone, and finishes its work', async () => {
    const c2 = await coordinator('c2')
    await go(400, [n1, n2], c1, c2)
    expect(c2.cycle.role()).toBe('following')
    expect(c2.applied).toEqual([])
    await go(4000, [n2], c2)
    expect(c2.cycle.role()).toBe('leading')
    expect(await stateOf('n1')).toBe('dead')
    expect(idsOf(c2.applied.at(-1))).toEqual(['n2'])
  })

  it('the one that does not lead sends the operator to the one that does', async () => {
    const c2 = await coordinator('c2')
    await c2.round()
    const answer = await answerAdmin(c2, { method: 'GET', path: '/admin/status', query: NO_QUERY, body: '' })
    expect(answer).toMatchObject({
      status: 409,
      body: { error: { code: 'not_leader', details: { adminUrl: 'http://c1' } } },
    })
  })
})

describe('a store that began another life', () => {
  it('goes on by itself, under a new era, and the fleet with it', async () => {
    await n1.sell('o1', 'alice')
    const before = await demo()
    world.restartStore()
    expect(await n1.sell('o2', 'bob')).toBe('recovering')
    await go(600, [])
    expect((await world.port.fleet.read()).certified).toBe(true)
    const after = await demo()
    expect(after.certified).toBe(true)
    expect(after.version.era).toBeGreaterThan(before.version.era)
    expect(await bodyOf(get('/admin/status'))).toMatchObject({
      sales: [{ id: 'demo', recovering: false, missing: [] }],
    })
  })

  it('with less than a node has seen: stays recovering until the operator decides', async () => {
    const { seq } = world.record('demo')
    await n1.sell('o1', 'alice')
    n2.report()
    world.record('demo').orders.delete('o1')
    world.record('demo').seq = seq
    world.restartStore()
    await go(3000, [])
    expect((await demo()).certified).toBe(false)
    expect(JSON.stringify(await bodyOf(get('/admin/status')))).toMatch(/behind (node n1|the mark)/)
    const recovered = await post('/admin/sales/demo/recover')
    expect(recovered).toMatchObject({ status: 200, body: { outcome: 'changed', sale: { recovering: false } } })
    expect((await demo()).certified).toBe(true)
  })
})

async function bodyOf(answer: Promise<AdminAnswer>): Promise<unknown> {
  const given = await answer
  return 'body' in given ? given.body : null
}

function get(path: string) {
  return answerAdmin(c1, { method: 'GET', path, query: NO_QUERY, body: '' })
}

function post(path: string, body = '') {
  return answerAdmin(c1, { method: 'POST', path, query: NO_QUERY, body })
}

describe('the admin API', () => {
  it('makes a sale once', async () => {
    expect(await post('/admin/sales', DEMO_FILE)).toMatchObject({ status: 200, body: { outcome: 'unchanged' } })
    const other = DEMO_FILE.replace('id: demo', 'id: other')
    expect(await post('/admin/sales', other)).toMatchObject({ status: 201, body: { sale: { state: 'draft' } } })
  })

  it('tells every fault of a sale file, and the differences of an existing one', async () => {
    expect(await post('/admin/sales', 'id: X\n')).toMatchObject({
      status: 422,
      body: { error: { code: 'bad_sale_file' } },
    })
    const differs = await post('/admin/sales', DEMO_FILE.replace('stock: 100', 'stock: 99'))
    expect(differs).toMatchObject({ status: 409, body: { error: { code: 'sale_differs' } } })
  })

  it('answers reads', async () => {
    expect(await bodyOf(get('/admin/sales'))).toMatchObject({ items: [{ id: 'demo' }] })
    expect(await bodyOf(get('/admin/sales/demo'))).toMatchObject({ id: 'demo', state: 'open' })
    expect(await bodyOf(get('/admin/sales/demo/quota'))).toMatchObject({ saleId: 'demo' })
    expect(await bodyOf(get('/admin/sales/demo/audit'))).toMatchObject({ ok: true })
    expect(await bodyOf(get('/admin/nodes'))).toMatchObject({ items: [{ id: 'n1', state: 'live' }, { id: 'n2' }] })
  })

  it('refuses what it does not know', async () => {
    expect((await get('/admin/sales/nope')).status).toBe(404)
    expect((await get('/admin/nothing')).status).toBe(404)
    expect((await get('/admin/sales/demo/open')).status).toBe(404)
    expect((await post('/admin/sales/demo/eat')).status).toBe(404)
    expect((await post('/admin/nodes')).status).toBe(405)
  })

  it('never shows the secret of the order ids', async () => {
    for (const path of ['/admin/sales', '/admin/sales/demo', '/admin/status', '/admin/sales/demo/audit']) {
      expect(JSON.stringify(await bodyOf(get(path)))).not.toContain(DEMO.orderIdSecret)
    }
  })
})
