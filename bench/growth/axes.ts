/** What is made to grow, and by how much. */
import type { PointSettings } from './point.ts'

export interface Axis {
  readonly name: string
  readonly axis: string
  readonly title: string
  readonly about: string
  readonly at: readonly number[]
  /** Just enough for a curve, when nothing but its being drawn is asked for. */
  readonly quickAt: readonly number[]
  readonly bound: string
  readonly settings: (x: number) => PointSettings
}

const ONE: PointSettings = { nodes: 1, fares: 1, buyersBefore: 0, sockets: 0 }

export const AXES: readonly Axis[] = [
  {
    name: 'growth-fares',
    axis: 'fares',
    title: 'More fares in the sale',
    about: 'Purchases are spread evenly over all fares.',
    at: [1, 10, 100, 1000],
    quickAt: [1, 100],
    bound:
      'A script call reads and writes the fares that its batch names, and a heartbeat brings those that changed: the more fares share a rush, the less of a batch is common to its purchases.',
    settings: (x) => ({ ...ONE, fares: x }),
  },
  {
    name: 'growth-buyers',
    axis: 'buyers who bought before',
    title: 'More buyers who have bought already',
    about: 'Their orders and records are in Redis, and every node knows them as winners.',
    at: [1000, 10_000, 100_000, 1_000_000],
    quickAt: [1000, 10_000],
    bound:
      'Memory: about 290 bytes of Redis per order, and per winner an entry in each node’s set. Growing hashes and sets cost a resize now and then, nothing per look.',
    settings: (x) => ({ ...ONE, buyersBefore: x }),
  },
  {
    name: 'growth-nodes',
    axis: 'nodes',
    title: 'More nodes',
    about:
      'The same number of connections for all together. All nodes share one core here, so that each gets less of it and batches are smaller.',
    at: [1, 2, 5, 10, 20],
    quickAt: [1, 3],
    bound:
      'Redis: one core of it judges all batches. Each node adds its heartbeats, and its batches carry fewer purchases, so that the fixed part of a call weighs more.',
    settings: (x) => ({ ...ONE, nodes: x }),
  },
  {
    name: 'growth-sockets',
    axis: 'open sockets',
    title: 'More people watching live',
    about: 'Open sockets of the live feed at the node that sells.',
    at: [1, 100, 1000, 5000],
    quickAt: [1, 200],
    bound:
      'A change is written to every socket, at most four times a second each: the cost grows with sockets, not with tickets. File descriptors (ulimit -n) and memory per socket end it.',
    settings: (x) => ({ ...ONE, sockets: x }),
  },
]
