/** What counts as lost, and what as come back. */
import { describe, expect, it } from 'vitest'
import { Kernel } from './kernel.ts'
import { SALE_ID } from './scenario.ts'
import { StoreCluster } from './store-cluster.ts'

const SALE = {
  id: SALE_ID,
  name: 'Rush',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 1,
  holdMs: 1000,
  fares: [],
  orderIdSecret: '00',
}

function run(store: StoreCluster, verb: string, ...args: unknown[]): void {
  store.execute(store.primary, 'sales', verb, args)
}

/** A change of the sale in each write, which a node has seen. */
function write(store: StoreCluster, times: number): void {
  writeUnseen(store, times)
  const { era, seq } = store.primary.stock.saleRecords.get(SALE_ID) ?? { era: 0, seq: 0 }
  store.whoKnowsMore = () => [{ id: 'n1', seen: { era, seq } }]
}

function writeUnseen(store: StoreCluster, times: number): void {
  const seen = { era: 0, seq: 0 }
  for (let time = 0; time < times; time += 1) {
    const isOpen = store.primary.stock.saleRecords.get(SALE_ID)?.state === 'open'
    run(store, 'change', SALE_ID, isOpen ? 'pause' : 'open', seen)
  }
}

/** A cluster whose store has the sale, and then so many changes of it. */
function cluster(changes: number): StoreCluster {
  const store = new StoreCluster(new Kernel(1), 1, false)
  run(store, 'create', SALE, 1)
  write(store, changes)
  return store
}

function undone({ losses }: StoreCluster): [string, boolean][] {
  return losses.map(({ kind, isUndone }) => [kind, isUndone])
}

describe('a loss', () => {
  it('is undone when a server that has all of it comes back', () => {
    const store = cluster(4)
    const old = store.failOver('failover', 5)
    store.restoreInPlace(2)
    store.returnTo(old)
    expect(undone(store)).toEqual([
      ['older_copy', true],
      ['return_to_old', false],
    ])
  })

  it('is so whatever was refused after that server went', () => {
    const store = cluster(4)
    const old = store.failOver('failover', 5)
    run(store, 'settle', SALE_ID, [], { era: 1, seq: 0 })
    store.restoreInPlace(2)
    store.returnTo(old)
    expect(undone(store)[0]).toEqual(['older_copy', true])
  })

  it('is so whatever nobody had seen', () => {
    const store = cluster(4)
    const old = store.failOver('failover', 5)
    store.primary.fingerprint = old.fingerprint
    writeUnseen(store, 1)
    store.restoreInPlace(2)
    store.returnTo(old)
    expect(undone(store)[0]).toEqual(['older_copy', true])
  })

  it('is not when that server lacks a change that was made after it', () => {
    const store = cluster(4)
    const old = store.failOver('failover', 5)
    store.primary.fingerprint = old.fingerprint
    write(store, 1)
    store.restoreInPlace(2)
    store.returnTo(old)
    expect(undone(store)[0]).toEqual(['older_copy', false])
  })

  it('is not when that server has another history of the same length', () => {
    const store = cluster(4)
    const old = store.failOver('failover', 4)
    store.primary.fingerprint = old.fingerprint
    write(store, 1)
    store.restoreInPlace(2)
    store.returnTo(old)
    expect(undone(store).slice(0, 2)).toEqual([
      ['failover', true],
      ['older_copy', false],
    ])
  })

  it('is not when a sale was certified in between', () => {
    const store = cluster(4)
    const old = store.failOver('failover', 5)
    store.restoreInPlace(2)
    run(store, 'certify', SALE_ID, { era: 1, seq: 1 }, 2, 1)
    store.returnTo(old)
    expect(undone(store)[0]).toEqual(['older_copy', false])
  })
})

describe('a replica', () => {
  it('knows that a reader found the store behind, as a replica of Redis does', () => {
    const store = cluster(4)
    run(store, 'certify', SALE_ID, { era: 1, seq: 5 }, 1, 5)
    run(store, 'readEvents', SALE_ID, { era: 1, seq: 99 }, 10)
    store.failOver('failover', store.primary.log.length)
    const record = store.primary.stock.saleRecords.get(SALE_ID)
    expect([record?.certificate, record?.sought]).toEqual(['', { era: 1, seq: 99 }])
  })
})
