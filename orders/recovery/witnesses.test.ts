import { describe, expect, it } from 'vitest'
import { unaccounted, type WitnessCase } from './witnesses.ts'

const taken = { era: 3, seq: 90 }

function facts(change: Partial<WitnessCase> = {}): WitnessCase {
  return {
    lastSeen: {
      atMs: 1000,
      version: { era: 3, seq: 100 },
      nodes: [
        { id: 'n1', live: true, lastWriteSeq: 99 },
        { id: 'n2', live: false, lastWriteSeq: 80 },
      ],
    },
    sinceMs: 1200,
    fleet: ['n1'],
    journals: new Map([['n1', { era: 3, seq: 5 }]]),
    taken,
    ...change,
  }
}

function journal(since: { era: number; seq: number } | null): Partial<WitnessCase> {
  return { journals: new Map([['n1', since]]) }
}

describe('unaccounted', () => {
  it('is nothing when each node answers for what it told, or was dead with all of it in the ledger', () => {
    expect(unaccounted(facts())).toEqual([])
    expect(unaccounted(facts(journal({ era: 3, seq: 90 })))).toEqual([])
  })

  it.each([
    [
      'knows only from after the ledger’s end on',
      journal({ era: 3, seq: 91 }),
      'node n1 knows only after era 3 seq 91',
    ],
    ['begun anew', journal(null), 'node n1 has begun anew'],
    ['silent', { journals: new Map() }, 'node n1 does not answer'],
    ['new in the fleet, and silent', { fleet: ['n1', 'n9'] }, 'node n9 does not answer'],
    ['dead before, not all of it in the ledger', { taken: { era: 3, seq: 79 } }, 'node n2 does not answer'],
    ['dead before, ledger in an older era', { taken: { era: 2, seq: 900 } }, 'node n2 does not answer'],
  ])('names a node that is %s', (_what, change, reason) => {
    expect(unaccounted(facts(change)).join()).toContain(reason)
  })

  it('names one that has gone since it was last seen selling, whatever its last known change', () => {
    const lastSeen = { atMs: 1000, version: { era: 3, seq: 100 }, nodes: [{ id: 'n3', live: true, lastWriteSeq: 1 }] }
    expect(unaccounted(facts({ lastSeen })).join()).toContain('node n3 does not answer')
  })

  it('is not known to whoever did not see the sale sell, or not lately', () => {
    expect(unaccounted(facts({ lastSeen: null })).join()).toContain('did not see the sale sell')
    expect(unaccounted(facts({ sinceMs: 6001 })).join()).toContain('did not see the sale sell')
    expect(unaccounted(facts({ sinceMs: 6000 }))).toEqual([])
  })
})
