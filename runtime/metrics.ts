/**
 * One metric registry per process, with values kept as plain numbers.
 *
 * prom-client hashes labels at every `inc`, which is too much for a path that answers a request in microseconds.
 * So the hot path adds to a field of an object, and prom-client only sees the numbers when somebody scrapes.
 * Names are `farebox_…` with the unit last (`_total` for counters), checked here.
 */
import { collectDefaultMetrics, Registry, type Metric } from 'prom-client'
import { assert } from './assert.ts'

type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly labels: Labels
  readonly value: number
}

/** Add to `value` directly. */
export interface PlainCounter {
  value: number
}

/** Counts into fixed buckets; `observe` is one short linear search and three additions. */
export class PlainHistogram {
  readonly bounds: readonly number[]
  readonly counts: Float64Array
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let index = 0
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index += 1
    this.counts[index] = (this.counts[index] as number) + 1
    this.sum += value
    this.count += 1
  }
}

/** Seconds; from a tenth of a millisecond to the buy deadline. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
]
/** Items; powers of two. */
export const SIZE_BOUNDS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

interface RawSample {
  readonly metricName: string
  readonly labels: Labels
  readonly value: number
}

export class Metrics {
  readonly #registry = new Registry()

  /** Adds what Node itself can tell: CPU, memory, event-loop lag, collections of garbage. */
  addProcessMetrics(): void {
    collectDefaultMetrics({ register: this.#registry, prefix: 'farebox_' })
  }

  counter(name: string, help: string): PlainCounter {
    const counter = { value: 0 }
    this.#register(name, help, 'counter', () => [{ metricName: name, labels: {}, value: counter.value }])
    return counter
  }

  /** One counter per value of one label, all known from the start: `answers.sold_out += 1`. */
  counters<Value extends string>(
    name: string,
    help: string,
    label: string,
    values: readonly Value[],
  ): Record<Value, number> {
    const counts = Object.fromEntries(values.map((value) => [value, 0])) as Record<Value, number>
    this.#register(name, help, 'counter', () =>
      values.map((value) => ({ metricName: name, labels: { [label]: value }, value: counts[value] })),
    )
    return counts
  }

  /** A counter whose number lives elsewhere and is read at scrape. */
  counterFrom(name: string, help: string, read: () => number | readonly Sample[]): void {
    this.#register(name, help, 'counter', () => samplesOf(name, read()))
  }

  /** A level, read at scrape. */
  gauge(name: string, help: string, read: () => number | readonly Sample[]): void {
    this.#register(name, help, 'gauge', () => samplesOf(name, read()))
  }

  histogram(name: string, help: string, bounds: readonly number[], labels: Labels = {}): PlainHistogram {
    return this.histograms(name, help, bounds, [labels])[0] as PlainHistogram
  }

  /** One histogram per set of labels under one name, in the order given. */
  histograms(name: string, help: string, bounds: readonly number[], labels: readonly Labels[]): PlainHistogram[] {
    const histograms = labels.map(() => new PlainHistogram(bounds))
    this.#register(name, help, 'histogram', () =>
      histograms.flatMap((histogram, index) => histogramSamples(name, labels[index] ?? {}, histogram)),
    )
    return histograms
  }

  /** The text that `/metrics` answers. */
  async scrape(): Promise<{ readonly contentType: string; readonly body: string }> {
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  #register(name: string, help: string, type: 'counter' | 'gauge' | 'histogram', read: () => RawSample[]): void {
    assert(/^farebox_[a-z][a-z0-9_]*$/.test(name), `metric name ${name}: farebox_ and lower snake case expected`)
    assert(type !== 'counter' || name.endsWith('_total'), `metric name ${name}: a counter ends in _total`)
    // prom-client asks a metric for nothing but these members when it renders text.
    const metric = { name, help, type, aggregator: 'sum', get: () => ({ name, help, type, values: read() }) }
    this.#registry.registerMetric(metric as unknown as Metric)
  }
}

function samplesOf(metricName: string, read: number | readonly Sample[]): RawSample[] {
  if (typeof read === 'number') return [{ metricName, labels: {}, value: read }]
  return read.map((sample) => ({ metricName, ...sample }))
}

function histogramSamples(name: string, labels: Labels, histogram: PlainHistogram): RawSample[] {
  const samples: RawSample[] = []
  let cumulative = 0
  for (const [index, count] of histogram.counts.entries()) {
    cumulative += count
    const le = index < histogram.bounds.length ? String(histogram.bounds[index]) : '+Inf'
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: cumulative })
  }
  samples.push({ metricName: `${name}_sum`, labels, value: histogram.sum })
  samples.push({ metricName: `${name}_count`, labels, value: histogram.count })
  return samples
}
