/** Rolling restarts whose driver, coordinator and nodes die at any step. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nextRollStep, type RollNode, type RollRecord, type RollStep, type RollView } from './roll.ts'

type Crash =
  /** The driver dies before, or after, it does the step: another begins by looking. */
  | { readonly at: number; readonly what: 'driver_before' | 'driver_after' }
  /** nginx is behind for a while: no leader. */
  | { readonly at: number; readonly what: 'leader' }
  /** A node dies by itself. */
  | { readonly at: number; readonly what: 'node'; readonly node: number }

interface World {
  nodes: RollNode[]
  /** Nodes that a step of the roll took out, and that are not back. */
  out: Set<string>
  renewals: Map<string, number>
  lag: number
  mostOut: number
}

function worldOf(count: number): World {
  const nodes = Array.from({ length: count }, (_, index): RollNode => {
    const id = `n${index + 1}`
    return { id, process: `${id}:0`, state: 'live', isHeard: true, isReady: true }
  })
  return { nodes, out: new Set(), renewals: new Map(), lag: 0, mostOut: 0 }
}

function viewOf(world: World): RollView {
  return { version: { era: 1, seq: 9 }, applied: { era: 1, seq: 9 - world.lag }, nodes: world.nodes }
}

function change(world: World, id: string, to: Partial<RollNode>): void {
  world.nodes = world.nodes.map((node) => (node.id === id ? { ...node, ...to } : node))
}

/** The step's effect, and what the world does while one waits. */
function perform(world: World, step: RollStep): void {
  switch (step.do) {
    case 'drain':
      world.out.add(step.id)
      change(world, step.id, { state: 'draining' })
      break
    case 'end':
      change(world, step.id, { process: null, isHeard: false, isReady: false })
      break
    case 'start': {
      const count = (world.renewals.get(step.id) ?? 0) + 1
      world.renewals.set(step.id, count)
      change(world, step.id, { process: `${step.id}:${count}`, isReady: false })
      break
    }
    case 'wait':
      if (step.until === 'drained') change(world, step.id, { state: 'drained' })
      if (step.until === 'ready') change(world, step.id, { state: 'live', isHeard: true, isReady: true })
      world.lag = 0
      break
    case 'done':
    case 'give_up':
      break
  }
  for (const node of world.nodes) {
    if (node.state === 'live' && node.process !== null && node.isReady) world.out.delete(node.id)
  }
  world.mostOut = Math.max(world.mostOut, world.out.size)
}

const crash: fc.Arbitrary<Crash> = fc.oneof(
  fc.record({ at: fc.nat(30), what: fc.constantFrom('driver_before' as const, 'driver_after' as const) }),
  fc.record({ at: fc.nat(30), what: fc.constant('leader' as const) }),
)
const death: fc.Arbitrary<Crash> = fc.record({ at: fc.nat(30), what: fc.constant('node' as const), node: fc.nat(4) })

/** Rolls to an end; every look starts from nothing but the record and the world. */
function roll(count: number, crashes: readonly Crash[]): { world: World; last: RollStep } {
  const world = worldOf(count)
  const record: RollRecord = {
    startedAt: '2027-01-01T00:00:00.000Z',
    nodes: world.nodes.map(({ id, process }) => ({ id, process: process ?? '' })),
  }
  for (let at = 0; at < 40 * count; at += 1) {
    for (const each of crashes) {
      if (each.at !== at) continue
      if (each.what === 'leader') world.lag = 3
      const node = each.what === 'node' ? world.nodes[each.node % count] : undefined
      if (node !== undefined) change(world, node.id, { process: null, state: 'dead', isHeard: false, isReady: false })
    }
    const step = nextRollStep(record, viewOf(world))
    if (step.do === 'done' || step.do === 'give_up') return { world, last: step }
    if (crashes.some((each) => each.at === at && each.what === 'driver_before')) continue
    perform(world, step)
    // Done, and the one who did it is gone: the next one does it again if it still seems needed.
  }
  throw new Error('the roll does not end')
}

describe('a rolling restart', () => {
  it('ends with every node renewed once, whenever its driver or the leader dies', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5 }), fc.array(crash, { maxLength: 12 }), (count, crashes) => {
        const { world, last } = roll(count, crashes)
        expect(last).toEqual({ do: 'done' })
        expect([...world.renewals.values()]).toEqual(Array.from({ length: count }, () => 1))
        expect(world.mostOut).toBe(1)
        expect(world.nodes.every(({ state, isReady }) => state === 'live' && isReady)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('takes nobody out while another is unwell, and never leaves out what it took out', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 5 }),
        fc.array(fc.oneof(crash, death), { maxLength: 12 }),
        (count, crashes) => {
          const { world, last } = roll(count, crashes)
          expect(world.mostOut).toBeLessThanOrEqual(1)
          expect([...world.out]).toEqual([])
          if (last.do === 'done') expect(world.nodes.every(({ process }) => !process?.endsWith(':0'))).toBe(true)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('refuses a fleet of one', () => {
    expect(roll(1, []).last).toMatchObject({ do: 'give_up', id: 'n1' })
  })

  it('stops at the first that is unwell and names it', () => {
    expect(roll(3, [{ at: 0, what: 'node', node: 2 }]).last).toEqual({
      do: 'give_up',
      id: 'n3',
      why: 'does not run',
    })
  })
})
