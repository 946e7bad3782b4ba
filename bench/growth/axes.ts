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
      'A script call reads six fields of each fare that its batch names, writes three and tells its level, and a heartbeat brings those that changed: the more fares share a rush, the less of a batch is common to its purchases. With more fares than a batch has items nearly every ticket pays for a fare of its own, and it grows no further.',
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
      'Memory: about 290 bytes of Redis per order, and per winner 8 to 32 bytes of each node. A purchase looks into larger hashes, which are in no cache. A node that joins reads all winners once (the last column); whoever buys meanwhile shares its time and Redis’s with that.',
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
      'Here the one core: so many connections are shared by more nodes, so a batch carries fewer purchases (third column), and of each the fixed part of a call, its way, its fsync and the turns between processes weigh more. No property of the sale: with a core per node batches are as full as with one. There it is Redis, one core of which judges all batches, and the heartbeats of each node.',
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
      'A change is written to every socket, some seven microseconds each, four times a second and to all together 4,000 times, but each at least once: the cost grows with sockets and time, not with tickets, and weighs more per ticket the fewer are sold a second. File descriptors (ulimit -n) and memory per socket end it.',
    settings: (x) => ({ ...ONE, sockets: x }),
  },
]
