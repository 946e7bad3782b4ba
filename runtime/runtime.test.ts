import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { assert, assertStock, InvariantError, StockLawError } from './assert.ts'
import { SteppedClock, systemClock } from './clock.ts'
import { seededRandom, systemRandom } from './random.ts'
import { createLogger, type Logger } from './logger.ts'
import { LifeCycle, type HostProcess } from './life-cycle.ts'
import { Metrics } from './metrics.ts'

function capture(): { logger: Logger; lines: () => Record<string, unknown>[] } {
  let text = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  const lines = () =>
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return { logger: createLogger({ level: 'info', bindings: { process: 'test' } }, stream), lines }
}

function draw(seed: number): unknown[] {
  const random = seededRandom(seed)
  return [random.next(), random.below(100), random.hex(4)]
}

class FakeHost implements HostProcess {
  readonly listeners = new Map<string, (...values: unknown[]) => void>()
  readonly exits: number[] = []
  on(event: string, listener: (...values: unknown[]) => void): void {
    this.listeners.set(event, listener)
  }
  exit(code: number): void {
    this.exits.push(code)
  }
  emit(event: string, ...values: unknown[]): void {
    this.listeners.get(event)?.(...values)
  }
}

describe('assert', () => {
  it('tells a broken request from broken books', () => {
    expect(() => assert(true, 'never')).not.toThrow()
    expect(() => assert(false, () => 'quantity is 0')).toThrow(new InvariantError('quantity is 0'))
    expect(() => assertStock(0, 'sum is wrong')).toThrow(StockLawError)
    expect(() => assert(false, 'x')).not.toThrow(StockLawError)
  })
})

describe('clock and random', () => {
  it('steps both clocks together', () => {
    const clock = new SteppedClock(1000)
    clock.advance(250)
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([1250, 250])
    expect(systemClock.monotonicMs()).toBeGreaterThan(0)
  })

  it('repeats with the same seed and differs with another', () => {
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    expect(systemRandom.hex(8)).toMatch(/^[0-9a-f]{16}$/)
  })

  it('is spread evenly enough', () => {
    const random = seededRandom(1)
    const counts = [0, 0, 0, 0]
    for (let index = 0; index < 4000; index += 1) {
      const place = random.below(4)
      counts[place] = (counts[place] ?? 0) + 1
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })
})

describe('life cycle', () => {
  it('runs the steps in order, bounds each, and reports what failed', async () => {
    const { logger, lines } = capture()
    const ran: string[] = []
    const life = new LifeCycle(logger, new FakeHost())
    life.addStopStep({ name: 'first', timeoutMs: 1000, run: () => void ran.push('first') })
    life.addStopStep({ name: 'hangs', timeoutMs: 5, run: () => new Promise(() => {}) })
    life.addStopStep({
      name: 'throws',
      timeoutMs: 1000,
      run: () => {
        throw new Error('broken')
      },
    })
    life.addStopStep({ name: 'last', timeoutMs: 1000, run: () => void ran.push('last') })
    expect(await life.stop('test')).toBe(1)
    expect(ran).toEqual(['first', 'last'])
    expect(
      lines()
        .filter((line) => line['level'] === 'error')
        .map((line) => line['step']),
    ).toEqual(['hangs', 'throws'])
  })

  it('stops once however often it is asked', async () => {
    const life = new LifeCycle(capture().logger, new FakeHost())
    let runs = 0
    life.addStopStep({ name: 'count', timeoutMs: 100, run: () => void (runs += 1) })
    await Promise.all([life.stop('a'), life.stop('b')])
    expect(runs).toBe(1)
    expect(life.state).toBe('stopped')
  })

  it('leaves after the steps on a signal, at once on the second, and at once on an unhandled error', async () => {
    const host = new FakeHost()
    const life = new LifeCycle(capture().logger, host)
    let finish: (() => void) | undefined
    life.addStopStep({
      name: 'waits',
      timeoutMs: 10_000,
      run: () => new Promise<void>((resolve) => (finish = resolve)),
    })
    life.listen()
    host.emit('SIGTERM')
    expect(host.exits).toEqual([])
    host.emit('SIGINT')
    expect(host.exits).toEqual([130])
    finish?.()
    await life.stop('again')
    host.emit('unhandledRejection', new Error('nobody'))
    expect(host.exits).toContain(1)
  })
})

describe('logger', () => {
  it('writes JSON lines with its bindings', () => {
    const { logger, lines } = capture()
    logger.info({ port: 1 }, 'hello')
    logger.debug('not shown')
    expect(lines()).toHaveLength(1)
    expect(lines()[0]).toMatchObject({ level: 'info', process: 'test', port: 1, msg: 'hello' })
  })
})

describe('metrics', () => {
  it('shows at scrape what the hot path counted', async () => {
    const metrics = new Metrics()
    const requests = metrics.counter('farebox_requests_total', 'Requests.')
    const answers = metrics.counters('farebox_answers_total', 'Answers.', 'outcome', ['held', 'sold_out'])
    metrics.gauge('farebox_parked_items', 'Parked.', () => [{ labels: { fare: 'a' }, value: 3 }])
    const latency = metrics.histogram('farebox_latency_seconds', 'Latency.', [0.1, 1], { stage: 'confirm' })
    requests.value += 2
    answers.sold_out += 5
    for (const value of [0.05, 0.1, 0.5, 7]) latency.observe(value)
    const { body, contentType } = await metrics.scrape()
    expect(contentType).toContain('text/plain')
    const expected = [
      '# TYPE farebox_requests_total counter',
      'farebox_requests_total 2',
      'farebox_answers_total{outcome="held"} 0',
      'farebox_answers_total{outcome="sold_out"} 5',
      'farebox_parked_items{fare="a"} 3',
      'farebox_latency_seconds_bucket{stage="confirm",le="0.1"} 2',
      'farebox_latency_seconds_bucket{stage="confirm",le="1"} 3',
      'farebox_latency_seconds_bucket{stage="confirm",le="+Inf"} 4',
      'farebox_latency_seconds_count{stage="confirm"} 4',
    ]
    expect(body.split('\n')).toEqual(expect.arrayContaining(expected))
  })

  it('refuses a name that breaks the rules', () => {
    const metrics = new Metrics()
    expect(() => metrics.counter('farebox_requests', '')).toThrow('_total')
    expect(() => metrics.gauge('requests', '', () => 0)).toThrow('farebox_')
    metrics.gauge('farebox_once', '', () => 0)
    expect(() => metrics.gauge('farebox_once', '', () => 0)).toThrow()
  })
})
