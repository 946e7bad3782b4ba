import { beforeEach, describe, expect, it } from 'vitest'
import type { Caller } from '../port.ts'
import { callerFault, certificateFault } from './fence.ts'
import { join } from './membership.ts'
import { newSaleRecord, type SaleRecord } from './sale-record.ts'

const context = { nowMs: 1000, fingerprint: 'life-1' }
const rules = { buffer: { tickets: 1 }, deadAfterMs: 1500 }
const RECOVERING = { outcome: 'recovering' }
let record: SaleRecord
let caller: Caller

beforeEach(() => {
  const definition = {
    id: 's',
    name: 's',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: 2,
    holdMs: 1,
    fares: [],
    orderIdSecret: '00',
  }
  record = newSaleRecord(definition, 3, context)
  const reply = join(record, { id: 'n1', weight: 1 }, { era: 0, seq: 0 }, 0, rules, context)
  if (reply.outcome !== 'joined') throw new Error(reply.outcome)
  caller = { nodeId: 'n1', epoch: reply.epoch, seen: reply.version, lastWriteSeq: reply.version.seq }
})

function fault(change: Partial<Caller> = {}): unknown {
  return callerFault(record, { ...caller, ...change }, context)
}

describe('the fences', () => {
  it('let a caller pass who is behind the store, or level with it', () => {
    expect(fault()).toBeNull()
    record.seq += 50
    expect(fault()).toBeNull()
    expect(record.certificate).toBe('life-1')
  })

  it('recovering: no such sale, or another life of the store', () => {
    expect(callerFault(undefined, caller, context)).toEqual(RECOVERING)
    expect(callerFault(record, caller, { ...context, fingerprint: 'life-2' })).toEqual(RECOVERING)
  })

  it('recovering for everybody: the store is behind what its caller has seen, by one', () => {
    expect(fault({ seen: { era: 3, seq: caller.seen.seq + 1 } })).toEqual(RECOVERING)
    expect(fault()).toEqual(RECOVERING)
    expect(certificateFault(record, { era: 0, seq: 0 }, context)).toEqual(RECOVERING)
  })

  it('recovering: the caller has seen a later era', () => {
    expect(fault({ seen: { era: 4, seq: 0 } })).toEqual(RECOVERING)
  })

  it('recovering: others moved the store past what the caller saw, but its own last change is gone', () => {
    record.seq += 50
    expect(fault({ lastWriteSeq: caller.lastWriteSeq + 1 })).toEqual(RECOVERING)
    expect(record.certificate).toBe('')
  })

  it('fenced: an earlier era, whatever its own last change was called there', () => {
    const stopped = { outcome: 'fenced', version: { era: 3, seq: record.seq } }
    expect(fault({ seen: { era: 2, seq: 999 }, lastWriteSeq: 999 })).toEqual(stopped)
    expect(record.certificate).toBe('life-1')
  })

  it('fenced: an earlier or a later epoch, and a node that never joined', () => {
    expect(fault({ epoch: caller.epoch - 1 })).toMatchObject({ outcome: 'fenced' })
    expect(fault({ epoch: caller.epoch + 1 })).toMatchObject({ outcome: 'fenced' })
    expect(fault({ nodeId: 'n2', lastWriteSeq: 0 })).toMatchObject({ outcome: 'fenced' })
  })

  it('joining anew fences what was sent before, and never looks behind itself', () => {
    const again = join(record, { id: 'n1', weight: 1 }, caller.seen, caller.lastWriteSeq, rules, context)
    expect(again).toMatchObject({ outcome: 'joined', epoch: caller.epoch + 1 })
    expect(fault()).toMatchObject({ outcome: 'fenced' })
  })

  it('joining under a new era, the last change of the old one does not count', () => {
    const reply = join(record, { id: 'n1', weight: 1 }, { era: 2, seq: 999 }, 999, rules, context)
    expect(reply).toMatchObject({ outcome: 'joined' })
    expect(record.certificate).toBe('life-1')
  })

  it('joining behind its own last change of this era, the store is found out', () => {
    const reply = join(record, { id: 'n1', weight: 1 }, { era: 3, seq: 1 }, 999, rules, context)
    expect(reply).toEqual(RECOVERING)
    expect(record.certificate).toBe('')
  })
})
