/** Live connections of one node with real sockets, over the store's twin in memory. */
import { connect } from 'node:net'
import { createSigner } from 'fast-jwt'
import { Value } from 'typebox/value'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { Identifier } from '../../http/identity.ts'
import { LiveMessage } from '../../http/live-messages.ts'
import { HttpServer } from '../../http/server.ts'
import { systemClock } from '../../runtime/clock.ts'
import { createLogger } from '../../runtime/logger.ts'
import { Metrics } from '../../runtime/metrics.ts'
import { systemRandom } from '../../runtime/random.ts'
import type { SaleDefinition } from '../../stock/core/words.ts'
import { createMemoryStock, type MemoryStock } from '../../stock/memory/memory-stock.ts'
import type { SettleItem } from '../../stock/port.ts'
import { type DeskSettings, SaleDesk } from '../sale-desk.ts'
import { LiveMetrics } from './live-metrics.ts'
import { Live, type LiveParts } from './live.ts'

const SECRET = 'a secret of at least thirty-two bytes'
const RULES = { buffer: { percent: 10 }, deadAfterMs: 60_000 }
const HEARTBEAT_MS = 50
const logger = createLogger({ level: 'silent' })
const CREATED = '1'.repeat(26)

class House {
  readonly stock: MemoryStock = createMemoryStock({ nowMs: () => systemClock.nowMs(), fingerprint: () => 'life' })
  readonly metrics = new Metrics()
  readonly desks = new Map<string, SaleDesk>()
  readonly live: Live
  readonly server: HttpServer
  isDraining = false
  knowsSales = true
  url = ''
  port = 0
  readonly #definition: SaleDefinition
  readonly #clients: WebSocket[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(fares = 1, more: Partial<LiveParts> = {}) {
    this.#definition = {
      id: 'demo',
      name: 'Demo',
      opensAtMs: null,
      closesAtMs: null,
      limitPerBuyer: 1000,
      holdMs: 300_000,
      fares: Array.from({ length: fares }, (_, index) => ({
        id: index === 0 ? 'second' : `fare-${index}-with-a-name-of-30-chars`.slice(0, 32),
        name: 'Seat',
        stock: 1000,
        price: { amount: 1, currency: 'CNY' },
      })),
      orderIdSecret: '00',
    }
    const identity = { mode: 'token', secret: SECRET, publicKeyPems: [], issuer: null, audience: null } as const
    const liveMetrics = new LiveMetrics(this.metrics, () => this.live.sockets)
    this.live = new Live({
      desks: this.desks,
      knowsSales: () => this.knowsSales,
      isDraining: () => this.isDraining,
      sales: this.stock.sales,
      identifier: new Identifier(identity, systemClock, systemRandom),
      clock: systemClock,
      random: systemRandom,
      logger,
      maxSockets: 100,
      timing: { lookAwayMs: 300, spreadMs: 1500 },
      metrics: liveMetrics,
      ...more,
    })
    this.server = new HttpServer({ logger, random: systemRandom, maxBodyBytes: 64 }, [], [this.live])
  }

  async start(): Promise<this> {
    await this.stock.sales.create(this.#definition, 1)
    await this.stock.sales.change('demo', 'open', { era: 1, seq: 0 })
    const settings: DeskSettings = {
      nodeId: 'n1',
      rules: RULES,
      batchMaxItems: 5,
      batchMaxInFlight: 2,
      lineMaxItems: 10,
      buyDeadlineMs: 1000,
      checkDurability: () => Promise.resolve(true),
    }
    const metrics = { storeErrors: { value: 0 }, batchSent: () => {}, batchAnswered: () => {} }
    const desk = new SaleDesk(this.#definition, 1, this.stock, settings, systemClock, logger, metrics)
    this.desks.set('demo', desk)
    desk.start()
    this.#timer = setInterval(() => void desk.heartbeat(), HEARTBEAT_MS)
    await until('the desk sells', () => desk.state === 'selling')
    this.port = await this.server.listen('127.0.0.1', 0)
    this.url = `ws://127.0.0.1:${this.port}/api/live?sale=demo`
    this.live.start(this.server)
    return this
  }

  /** Made through another node. */
  async buy(orderId: string, buyer: string, fareId = 'second'): Promise<void> {
    const joined = await this.stock.sales.join('demo', { id: 'n2', weight: 1 }, { era: 1, seq: 0 }, 0, RULES)
    if (joined.outcome !== 'joined') throw new Error(joined.outcome)
    const caller = { nodeId: 'n2', epoch: joined.epoch, seen: joined.version, lastWriteSeq: 0 }
    const item = { orderId, buyer, fareId, quantity: 1, deadlineMs: systemClock.nowMs() + 5000 }
    const reply = await this.stock.sales.confirm('demo', caller, [item], RULES)
    if (reply.outcome !== 'judged' || reply.verdicts[0]?.status !== 'held') throw new Error(JSON.stringify(reply))
  }

  async settle(orderId: string, fate: SettleItem['fate'] = { state: 'paid' }): Promise<void> {
    await this.stock.sales.settle('demo', [{ orderId, fate, atMs: systemClock.nowMs() }], { era: 1, seq: 0 })
  }

  dial(more: { readonly url?: string; readonly plan?: string } = {}): Listener {
    const listener = new Listener(more.url ?? this.url, more.plan)
    this.#clients.push(listener.socket)
    return listener
  }

  /** Connections that hear what is said to all. */
  get audience(): number {
    return this.server.subscribers('availability:demo')
  }

  async metric(line: RegExp): Promise<number> {
    return Number(line.exec((await this.metrics.scrape()).body)?.[1] ?? Number.NaN)
  }

  async end(): Promise<void> {
    for (const client of this.#clients) client.terminate()
    await this.live.leaveAfter(0)
    clearInterval(this.#timer)
    for (const desk of this.desks.values()) desk.stop()
    await this.server.close(0)
  }
}

interface Heard {
  readonly type: string
  readonly atMs: number
  readonly remaining: number
  readonly order: { readonly id: string; readonly state: string } | null
}

class Listener {
  readonly socket: WebSocket
  readonly heard: Heard[] = []
  closed: number | null = null

  constructor(url: string, plan?: string) {
    this.socket = new WebSocket(url, { headers: plan === undefined ? {} : { 'X-Farebox-Plan': plan } })
    this.socket.on('message', (data: Buffer) => {
      const message: unknown = JSON.parse(data.toString())
      if (!Value.Check(LiveMessage, message)) throw new Error(`not as promised: ${data.toString()}`)
      const remaining = message.type === 'availability' ? (message.fares[0]?.remaining ?? -1) : -1
      const order = message.type === 'order' ? message.order : null
      this.heard.push({ type: message.type, atMs: performance.now(), remaining, order })
    })
    this.socket.on('close', (code) => (this.closed = code))
    this.socket.on('error', () => {})
  }

  signIn(buyer: string, more: Readonly<Record<string, unknown>> = {}): void {
    const sign = createSigner({ key: SECRET, algorithm: 'HS256' })
    const token = sign({ sub: buyer, exp: Math.floor(systemClock.nowMs() / 1000) + 3600, ...more })
    this.socket.send(JSON.stringify({ type: 'auth', token }))
  }

  async ready(): Promise<this> {
    await until('the first message', () => this.heard.length > 0)
    return this
  }

  /** As last heard of the first fare. */
  get lastRemaining(): number {
    return this.heard.findLast(({ type }) => type === 'availability')?.remaining ?? -1
  }

  get types(): string[] {
    return this.heard.map(({ type, order }) => (order === null ? type : `${order.id.slice(-1)} ${order.state}`))
  }
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`waited 10 s until ${what}`)
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
}

let house: House
beforeEach(async () => {
  house = await new House().start()
})
afterEach(() => house.end())

const away = (): Promise<never> => Promise.reject(new Error('away'))
const idOf = (letter: string): string => CREATED.slice(1) + letter

describe('a live connection', () => {
  it('hears the availability on open and at each change, whoever bought', async () => {
    const listeners = await Promise.all([house.dial().ready(), house.dial().ready()])
    expect(listeners.map(({ heard }) => heard[0]?.remaining)).toEqual([1000, 1000])
    await house.buy(idOf('a'), 'ann')
    for (const { heard } of listeners) await until('it falls', () => heard.at(-1)?.remaining === 999)
    expect(listeners.map(({ types }) => types)).toEqual([
      ['availability', 'availability'],
      ['availability', 'availability'],
    ])
  })

  it('hears its own orders after signing in, and each change of them', async () => {
    await house.buy(idOf('a'), 'ann')
    const [ann, bob] = await Promise.all([house.dial().ready(), house.dial().ready()])
    ann.signIn('ann')
    bob.signIn('bob')
    await until('the order is told', () => ann.types.includes('a held'))
    await house.buy(idOf('b'), 'ann')
    await until('the new order is told', () => ann.types.includes('b held'))
    await house.settle(idOf('a'))
    await until('the payment is told', () => ann.types.includes('a paid'))
    const own = ann.types.filter((type) => type !== 'availability')
    expect(own).toEqual(['auth', 'a held', 'b held', 'a paid'])
    expect(bob.types.filter((type) => type !== 'availability')).toEqual(['auth'])
  })

  it('hears both tabs of one buyer, and nothing of the former buyer after signing in anew', async () => {
    await house.buy(idOf('a'), 'ann')
    const [one, two] = await Promise.all([house.dial().ready(), house.dial().ready()])
    one.signIn('ann')
    await until('the first tab hears', () => one.types.includes('a held'))
    two.signIn('ann')
    await until('the second tab hears', () => two.types.includes('a held'))
    two.signIn('bob')
    await until('bob is in', () => two.types.filter((type) => type === 'auth').length === 2)
    await house.settle(idOf('a'))
    await until('the first tab hears the change', () => one.types.includes('a paid'))
    await house.buy(idOf('b'), 'bob')
    await until('bob hears', () => two.types.includes('b held'))
    expect(two.types.includes('a paid')).toBe(false)
  })

  it('gets no more than four messages in any second, and the newest in the end', { timeout: 20_000 }, async () => {
    const listener = await house.dial().ready()
    listener.signIn('ann')
    for (let index = 0; index < 40; index += 1) {
      await house.buy(String(index).padStart(26, '0'), 'ann')
      await new Promise((resolve) => {
        setTimeout(resolve, 60)
      })
    }
    await until('the newest arrives', () => listener.heard.some(({ remaining }) => remaining === 960))
    const times = listener.heard.map(({ atMs }) => atMs)
    // What is spaced when sent may arrive a little closer.
    const crowds = times.filter((atMs, index) => atMs - (times[index - 4] ?? -10_000) < 940)
    expect(crowds).toEqual([])
    expect(await house.metric(/^farebox_live_dropped_total (\d+)/m)).toBeGreaterThan(0)
  })

  it('among many hears less often, and the newest in the end, however it came in', { timeout: 20_000 }, async () => {
    await house.end()
    // Ten are told once a second at most.
    house = await new House(1, { hall: { messagesPerSecond: 10, spacingMsMax: 1000 } }).start()
    const listeners = await Promise.all(Array.from({ length: 10 }, () => house.dial().ready()))
    const [first] = listeners
    for (let index = 0; index < 30; index += 1) {
      await house.buy(String(index).padStart(26, '0'), index === 29 ? 'ann' : 'bob')
      // Those who step aside on their own account, and those who come, go back to the others.
      if (index === 10) listeners[1]?.signIn('ann')
      if (index === 20) listeners.push(await house.dial().ready())
      await new Promise((resolve) => {
        setTimeout(resolve, 60)
      })
    }
    await until('all hear the newest', () => listeners.every((one) => one.lastRemaining === 970))
    const times = first?.heard.map(({ atMs }) => atMs) ?? []
    const seconds = ((times.at(-1) ?? Number.NaN) - (times[0] ?? Number.NaN)) / 1000
    // Beside one a second: the first on open, one for who has just come, and one for where the seconds begin.
    expect(times.length).toBeLessThanOrEqual(3 + seconds)
    expect(times.length).toBeGreaterThan(2)
    expect(listeners[1]?.types.includes('auth')).toBe(true)
    // A hall that was empty begins anew.
    for (const { socket } of listeners) socket.close()
    await until('all are gone', () => house.live.sockets === 0)
    await house.buy(idOf('x'), 'cem')
    const late = await house.dial().ready()
    await until('the late one hears', () => late.lastRemaining === 969)
  })

  it('among many is not left with what was said to nobody else', { timeout: 20_000 }, async () => {
    await house.end()
    house = await new House(1, { hall: { messagesPerSecond: 1, spacingMsMax: 3000 } }).start()
    const listeners = await Promise.all([house.dial().ready(), house.dial().ready()])
    const isKnown = (remaining: number) => (): boolean =>
      house.desks.get('demo')?.quota.fare('second')?.level?.remaining === remaining
    await house.buy(idOf('a'), 'ann')
    await until('all hear of the first', () => listeners.every((one) => one.lastRemaining === 999))
    // Not said before three seconds have passed, and taken back before that.
    await house.buy(idOf('b'), 'bob')
    await until('the node knows', isKnown(998))
    listeners.push(await house.dial().ready())
    // From here on it hears what is said to all, and nothing else.
    await until('the third has nothing of its own to hear', () => house.audience === 3)
    await house.settle(idOf('b'), { state: 'released', reason: 'expired' })
    await until('the node knows again', isKnown(999))
    await until('all know', () => listeners.every((one) => one.lastRemaining === 999))
  })

  it('is closed for what it may not say', async () => {
    const closes = async (say: (listener: Listener) => void): Promise<number | null> => {
      const listener = await house.dial().ready()
      say(listener)
      await until('it is closed', () => listener.closed !== null)
      return listener.closed
    }
    for (const text of [
      '',
      'hello',
      '{}',
      '[]',
      'null',
      '{"type":"auth"}',
      '{"type":"auth","token":1}',
      '{"type":"x"}',
    ]) {
      expect([text, await closes(({ socket }) => socket.send(text))]).toEqual([text, 4400])
    }
    expect(await closes(({ socket }) => socket.send(Buffer.from([1])))).toBe(4400)
    expect(await closes(({ socket }) => socket.send('{"type":"auth","token":""}'))).toBe(4401)
    expect(await closes(({ socket }) => socket.send('{"type":"auth","token":"a.b.c"}'))).toBe(4401)
    expect(await closes((listener) => listener.signIn('ann', { exp: 1 }))).toBe(4401)
    expect(
      await closes((listener) => {
        for (let time = 0; time < 10; time += 1) listener.signIn('ann')
      }),
    ).toBe(1013)
    expect(await house.metric(/^farebox_live_closed_total\{code="4400"\} (\d+)/m)).toBe(9)
    expect(await house.metric(/^farebox_live_sockets (\d+)/m)).toBe(0)
  })

  it('ends with its token', async () => {
    const listener = await house.dial().ready()
    // With five seconds of leeway this token holds for one more second, or two.
    listener.signIn('ann', { exp: Math.floor(systemClock.nowMs() / 1000) - 3 })
    await until('it is in', () => listener.types.includes('auth'))
    await until('it ends', () => listener.closed !== null)
    expect(listener.closed).toBe(4401)
  })

  it('to no sale is closed as such; to one not heard of yet, as too early', async () => {
    for (const query of ['', '?sale=', '?sale=other', '?other=demo', '?sale=%00']) {
      const listener = house.dial({ url: house.url.replace('?sale=demo', query) })
      await until('it is closed', () => listener.closed !== null)
      expect([query, listener.closed]).toEqual([query, 4404])
    }
    house.knowsSales = false
    const listener = house.dial({ url: house.url.replace('demo', 'other') })
    await until('it is closed', () => listener.closed !== null)
    expect(listener.closed).toBe(1013)
  })

  it('is asked to come back when the node drains, and not before', async () => {
    const listeners = await Promise.all(Array.from({ length: 20 }, () => house.dial().ready()))
    house.isDraining = true
    await until('the first goes', () => listeners.some(({ closed }) => closed !== null))
    house.isDraining = false
    const left = listeners.filter(({ closed }) => closed === null)
    expect(left.length).toBeGreaterThan(0)
    await until('all go', () => left.every(({ closed }) => closed === 1012))
    await (await house.dial().ready()).ready()
  })

  it('is asked to come back when nginx has a newer plan than the one it came by', async () => {
    const [old, direct] = await Promise.all([house.dial({ plan: '1.4' }).ready(), house.dial().ready()])
    const same = await house.dial({ plan: '1.4' }).ready()
    const newer = await house.dial({ plan: '1.12' }).ready()
    await until('the old ones go', () => old.closed === 1012 && same.closed === 1012)
    expect([direct.closed, newer.closed]).toEqual([null, null])
  })

  it('is asked to come back when the process ends', async () => {
    const listeners = await Promise.all(Array.from({ length: 10 }, () => house.dial().ready()))
    await house.live.leaveAfter(0)
    await until('all are closed', () => listeners.every(({ closed }) => closed === 1012))
    const late = house.dial()
    await until('a late one is closed', () => late.closed !== null)
    expect(late.closed).toBe(1012)
  })

  it('hears of its orders after the store could not be read for a while', async () => {
    const working = { ...house.stock.sales }
    Object.assign(house.stock.sales, { readOrders: away, readOrdersOf: away })
    const listener = await house.dial().ready()
    listener.signIn('ann')
    await house.buy(idOf('a'), 'ann')
    await until('it is in', () => listener.types.includes('auth'))
    Object.assign(house.stock.sales, working)
    await until('the order is told', () => listener.types.includes('a held'))
  })
})

describe('a client that does not read', () => {
  it('is told the newest when it reads again, not all that it missed', async () => {
    await house.end()
    house = await new House(6000).start()
    const socket = connect(house.port, '127.0.0.1')
    socket.setNoDelay(true)
    const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n'
    socket.write(
      `GET /api/live?sale=demo HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n${key}\r\n`,
    )
    await until('it is in', () => house.live.sockets === 1)
    const reader = await house.dial().ready()
    // Every message is about 450 kB: soon the kernel holds no more for the one who does not read.
    let bought = 0
    for (; reader.heard.length < 30; bought += 1) {
      await house.buy(`${idOf('a')}${bought}`, `b${bought}`)
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
    }
    const newest = 1000 - bought
    await until('the reader is up to date', () => reader.heard.at(-1)?.remaining === newest)
    const pieces: string[] = []
    socket.on('data', (chunk: Buffer) => pieces.push(chunk.toString('latin1')))
    const heard = (): string => pieces.join('')
    await until('it hears the newest', () => pieces.slice(-40).join('').includes(`"remaining":${newest},`))
    socket.destroy()
    const messages = heard().split('"type":"availability"').length - 1
    expect(messages).toBeGreaterThan(0)
    expect(messages).toBeLessThan(reader.heard.length)
  }, 30_000)
})
