import { createServer, type Server } from 'node:http'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SteppedClock } from '../../../runtime/clock.ts'
import { createLogger } from '../../../runtime/logger.ts'
import { seededRandom } from '../../../runtime/random.ts'
import { openSharedLedger, type SharedLedger } from '../testing/money-world.ts'
import { checkWebhookSignature } from '../webhook-signature.ts'
import { GOOD_BEHAVIOUR, type SandboxBehaviour, type SandboxPress } from './sandbox-behaviour.ts'
import { SandboxBooks } from './sandbox-books.ts'
import type { SandboxEvent } from './sandbox-provider.ts'
import { SandboxSender } from './sandbox-sender.ts'

const SECRET = 'what the sandbox and we share'
const logger = createLogger({ level: 'silent' })

interface Heard {
  readonly event: SandboxEvent
  readonly isGenuine: boolean
}

let shared: SharedLedger
let server: Server
let url = ''
let heard: Heard[] = []
/** What our webhook answers, one after the other; then 200. */
let answers: number[] = []
const clock = new SteppedClock()

beforeAll(async () => {
  shared = await openSharedLedger()
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => void chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const header = String(request.headers['farebox-signature'])
      const isGenuine = checkWebhookSignature(SECRET, body, header, clock.nowMs(), 1000) === 'genuine'
      heard.push({ event: JSON.parse(body.toString()) as SandboxEvent, isGenuine })
      response.writeHead(answers.shift() ?? 200).end('{}')
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`
})
afterAll(async () => {
  server.close()
  await shared.close()
})
beforeEach(async () => {
  await shared.database.query('delete from sandbox_deliveries')
})
afterEach(() => {
  heard = []
  answers = []
})

let payments = 0
/** A sandbox as a process has it; a second one on the same books is the process started again. */
function sandbox(behaviour: Partial<SandboxBehaviour> = {}): { books: SandboxBooks; sender: SandboxSender } {
  payments += 1
  const books = new SandboxBooks(shared.database, seededRandom(payments), clock, { ...GOOD_BEHAVIOUR, ...behaviour })
  return { books, sender: new SandboxSender({ books, secret: SECRET, webhookUrl: () => url, clock, logger }) }
}

async function pressed(books: SandboxBooks, press: SandboxPress = {}): Promise<string> {
  payments += 1
  const reference = `payment-${payments}`
  const names = { saleName: 'Sale', fareName: 'Seat', quantity: 1, holdExpiresAtMs: 0 }
  await books.create({ reference, orderId: reference, amount: 1200, currency: 'EUR', ...names })
  await books.press(reference, press)
  return reference
}

const told = (): string[] => heard.map(({ event, isGenuine }) => `${event.type}${isGenuine ? '' : ' (forged)'}`)

describe('the sandbox', () => {
  it('tells of a payment once, signed', async () => {
    const { books, sender } = sandbox()
    const reference = await pressed(books)
    await sender.work()
    await sender.work()
    expect(told()).toEqual(['paid'])
    expect(heard[0]?.event).toMatchObject({ reference, amount: 1200, currency: 'EUR' })
  })

  it('goes on telling while it is answered 5xx, at growing distances, also after a restart', async () => {
    answers = [503, 500]
    const first = sandbox()
    await pressed(first.books)
    await first.sender.work()
    await first.sender.work()
    expect(heard).toHaveLength(1)
    clock.advance(600)
    await sandbox().sender.work()
    expect(heard).toHaveLength(2)
    clock.advance(600)
    await sandbox().sender.work()
    expect(heard).toHaveLength(2)
    clock.advance(1000)
    await sandbox().sender.work()
    clock.advance(100_000)
    await sandbox().sender.work()
    expect(told()).toEqual(['paid', 'paid', 'paid'])
    expect(new Set(heard.map(({ event }) => event.id)).size).toBe(1)
  })

  it('gives up after fifteen tries, and at once when it is told that it is wrong', async () => {
    answers = Array.from({ length: 30 }, () => 503)
    const { books, sender } = sandbox()
    await pressed(books)
    for (let round = 0; round < 30; round += 1) {
      await sender.work()
      clock.advance(61_000)
    }
    expect(heard).toHaveLength(15)
    answers = [400]
    heard = []
    await pressed(books)
    await sender.work()
    clock.advance(61_000)
    await sender.work()
    expect(heard).toHaveLength(1)
  })

  it('behaves as badly as it is told', async () => {
    const { books, sender } = sandbox({ duplicates: 1, forged: true })
    await pressed(books, { wrongAmount: true, outOfOrder: true })
    await sender.work()
    const once = ['paid (forged)', 'paid', 'paid', 'failed']
    expect(told()).toEqual([...once, ...once])
    expect(heard.slice(0, 4).map(({ event }) => event.amount)).toEqual([1200, 1201, 1200, 1200])
  })

  it('waits before it tells, declines, and tells in any order', async () => {
    const { books, sender } = sandbox()
    await pressed(books, { delayMs: 5000 })
    await sender.work()
    expect(heard).toEqual([])
    clock.advance(5000)
    await sender.work()
    await pressed(books, { outcome: 'decline' })
    await pressed(books, { events: ['refunded', 'paid'] })
    await sender.work()
    expect(told().toSorted()).toEqual(['failed', 'paid', 'paid', 'refunded'])
    expect(told().indexOf('refunded')).toBeLessThan(told().lastIndexOf('paid'))
  })

  it('gives a charge back once, under one name, and tells of it', async () => {
    const { books, sender } = sandbox()
    const reference = await pressed(books)
    await sender.work()
    const chargeId = heard[0]?.event.chargeId ?? ''
    const request = { refundId: `refund-${chargeId}`, chargeId, reference, amount: 1200, currency: 'EUR' }
    expect(await books.refund(request)).toEqual({ outcome: 'accepted' })
    expect(await books.refund(request)).toEqual({ outcome: 'done' })
    const second = await books.refund({ ...request, refundId: 'another' })
    expect(second).toMatchObject({ outcome: 'refused' })
    expect(await books.refund({ ...request, chargeId: 'none' })).toMatchObject({ outcome: 'refused' })
    await sender.work()
    expect(told()).toEqual(['paid', 'refunded'])
  })
})
