/** The door over real HTTP, with an orders process in memory behind it. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startAdminServer, type AdminServer } from '../../http/admin-server.ts'
import { SILENT } from '../../runtime/log.ts'
import { ordersDoor } from './orders-door.ts'
import { changeSale, createSale } from './sales.ts'
import { DEMO_FILE, testWorld, type TestWorld } from './testing/test-world.ts'
import { underLease, type World } from './world.ts'

const TTL_MS = 1000
let inside: TestWorld
let server: AdminServer
/** As a coordinator reaches it. */
let world: World

beforeEach(async () => {
  inside = testWorld()
  await inside.port.fleet.certify(0, 1)
  server = await startAdminServer({
    name: 'orders o1',
    host: '127.0.0.1',
    port: 0,
    token: 'secret',
    answer: (request) => inside.process.answer(request),
    isReady: () => true,
    metrics: () => Promise.reject(new Error('there are none')),
    log: SILENT,
  })
  await inside.port.fleet.announceOrders({ id: 'o1', url: 'http://o1', adminUrl: server.url })
  world = { ...inside, orders: ordersDoor(inside.port.fleet, 'secret') }
  await createSale(world, DEMO_FILE)
})
afterEach(() => server.close())

async function lead(id: string): Promise<World> {
  const reply = await inside.port.fleet.lead({ id, adminUrl: `http://${id}` }, TTL_MS)
  if (reply.outcome !== 'leading') throw new Error(`${id} does not lead`)
  return underLease(world, reply.lease)
}

it('carries out what the leader passes on', async () => {
  expect(await changeSale(await lead('c1'), 'demo', 'open')).toMatchObject({ outcome: 'changed' })
})

it('refuses, with the present version, what a leader passes on that has been replaced', async () => {
  const asleep = await lead('c1')
  inside.advance(TTL_MS)
  const next = await lead('c2')
  await changeSale(next, 'demo', 'open')
  const { version } = await inside.port.fleet.read()
  await expect(changeSale(asleep, 'demo', 'pause')).rejects.toMatchObject({
    code: 'not_leader',
    details: { version, adminUrl: 'http://c2' },
  })
  expect(inside.record('demo').state).toBe('open')
})

it('refuses what a leader passes on whose lease has lapsed', async () => {
  const asleep = await lead('c1')
  inside.advance(TTL_MS)
  await expect(changeSale(asleep, 'demo', 'open')).rejects.toMatchObject({ code: 'not_leader' })
  expect(inside.record('demo').state).toBe('draft')
})
