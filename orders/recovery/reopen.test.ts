import { describe, expect, it } from 'vitest'
import { VERSION_ZERO } from '../../stock/core/words.ts'
import type { Mark } from './marks.ts'
import { decideReopen, type NodeTestimony, type ReopenCase } from './reopen.ts'

const mark: Mark = { era: 3, seq: 100, durable: true, fingerprint: 'a' }

function witness(nodeId: string, seq: number, lastWriteSeq = 0, era = 3): NodeTestimony {
  return { nodeId, reply: { known: { era, seq, lastWriteSeq } } }
}

function facts(change: Partial<ReopenCase> = {}): ReopenCase {
  return {
    store: { version: { era: 3, seq: 110 }, nodes: [{ id: 'n1', lastWriteSeq: 108 }], sought: VERSION_ZERO },
    mark,
    nodes: [witness('n1', 110, 108)],
    missing: [],
    durability: { durable: true, faults: [] },
    askedMs: 5,
    ...change,
  }
}

function at(seq: number): Partial<ReopenCase> {
  return { store: { version: { era: 3, seq }, nodes: [], sought: VERSION_ZERO }, nodes: [], askedMs: 1000 }
}

function reasonsOf(change: Partial<ReopenCase>): string {
  const decision = decideReopen(facts(change))
  expect(decision.decision).toBe('stay')
  return decision.decision === 'stay' ? decision.reasons.join('; ') : ''
}

describe('decideReopen', () => {
  it('reopens when the store is behind nobody', () => {
    expect(decideReopen(facts())).toEqual({ decision: 'reopen', expected: { era: 3, seq: 110 }, floorSeq: 110 })
  })

  it('reopens by the mark alone when no node lives, after a second in which one might have come', () => {
    expect(decideReopen(facts({ nodes: [], askedMs: 999 }))).toEqual({
      decision: 'wait',
      reasons: ['no node that has seen the sale has answered yet'],
    })
    expect(decideReopen(facts({ nodes: [], askedMs: 1000 })).decision).toBe('reopen')
  })

  it('reopens when the store is ahead of everybody: replies lost in the crash', () => {
    expect(decideReopen(facts({ nodes: [witness('n1', 101)] })).decision).toBe('reopen')
  })

  it('reopens at exactly the mark, and not one below', () => {
    expect(decideReopen(facts(at(100))).decision).toBe('reopen')
    expect(reasonsOf(at(99))).toBe('the store is at era 3 seq 99, behind the mark era 3 seq 100')
  })

  it('takes an older era as behind, however high its seq', () => {
    expect(reasonsOf({ store: { version: { era: 2, seq: 999 }, nodes: [], sought: VERSION_ZERO } })).toContain(
      'behind the mark',
    )
  })

  it('stays when a caller had seen more, whoever it was', () => {
    const store = {
      version: { era: 3, seq: 110 },
      nodes: [{ id: 'n1', lastWriteSeq: 108 }],
      sought: { era: 3, seq: 111 },
    }
    expect(reasonsOf({ store })).toBe('the store is at era 3 seq 110, behind a caller at era 3 seq 111')
    expect(decideReopen(facts({ store: { ...store, sought: { era: 3, seq: 110 } } })).decision).toBe('reopen')
  })

  it('stays when a node has seen more', () => {
    expect(reasonsOf({ nodes: [witness('n1', 111)] })).toBe(
      'the store is at era 3 seq 110, behind node n1 at era 3 seq 111',
    )
  })

  it('stays when a node itself wrote later than the store knows', () => {
    expect(reasonsOf({ nodes: [witness('n1', 110, 109)] })).toContain('last change of node n1 as 108')
    expect(reasonsOf({ nodes: [witness('n2', 110, 1)] })).toContain('last change of node n2 as 0')
  })

  it('does not compare last writes of different eras', () => {
    expect(decideReopen(facts({ nodes: [witness('n1', 500, 400, 2)] })).decision).toBe('reopen')
  })

  it('stays without a record of the sale, at once', () => {
    expect(reasonsOf({ store: null, nodes: [{ nodeId: 'n1', reply: null }] })).toBe(
      'the store has no record of this sale',
    )
  })

  it('stays with neither mark nor node', () => {
    expect(reasonsOf({ mark: null, nodes: [] })).toContain('neither a mark nor a live node')
    expect(reasonsOf({ mark: null, nodes: [{ nodeId: 'n1', reply: { known: null } }] })).toContain('neither a mark')
  })

  it('stays with a node but no mark: nothing says that the AOF was on', () => {
    expect(reasonsOf({ mark: null })).toContain('no mark says')
  })

  it('stays when the AOF was off, or is off now', () => {
    expect(reasonsOf({ mark: { ...mark, durable: false } })).toContain('was not on')
    expect(reasonsOf({ durability: { durable: false, faults: ['appendfsync is everysec'] } })).toBe(
      'AOF with fsync always is not on: appendfsync is everysec',
    )
  })

  it('waits for a live node, for a second at most', () => {
    const silent = { nodes: [witness('n1', 110, 108), { nodeId: 'n2', reply: null }] }
    expect(decideReopen(facts({ ...silent, askedMs: 999 }))).toEqual({
      decision: 'wait',
      reasons: ['node n2 has not answered yet'],
    })
    expect(decideReopen(facts({ ...silent, askedMs: 1000 })).decision).toBe('reopen')
  })

  it('does not wait when it is lost already', () => {
    expect(reasonsOf({ mark: null, nodes: [{ nodeId: 'n1', reply: null }] })).not.toBe('')
  })

  it('stays when the ledger has orders that it lacks', () => {
    expect(reasonsOf({ missing: ['the store has no record of 3 orders'] })).toBe('the store has no record of 3 orders')
  })

  it('names every reason', () => {
    const decision = decideReopen(facts({ mark: { ...mark, seq: 120, durable: false }, nodes: [witness('n1', 130)] }))
    expect(decision.decision === 'stay' && decision.reasons).toHaveLength(3)
  })
})
