/**
 * Practice for the embedded database, so that the first orders of a rush cost what later ones do.
 *
 * WebAssembly is compiled as it runs: what runs often is compiled anew and better, on threads of its own. In a process that
 * has just started, taking its first eight orders costs 220 ms of processor time and each of the next seven batches 30
 * to 70, where later ones cost 8. On a machine that runs the whole cluster the first buyers after an opening wait for that.
 *
 * So a sale of its own is made and orders of it are taken, by the very code that takes real ones, in transactions that
 * are all undone: nobody ever sees any of it. What is undone leaves dead rows behind, some hundred for each start of
 * the process.
 */
import type { Logger } from '../../runtime/logger.ts'
import { delay, systemTimers } from '../../runtime/timers.ts'
import { practiceSaleId } from '../../stock/core/practice.ts'
import type { Order, SaleDefinition } from '../../stock/core/words.ts'
import type { Database } from './database.ts'
import { SqlLedger } from './sql-ledger.ts'

/** After so many batches one costs no more than the last, nearly; about a second of processor time in all. */
const BATCHES = 30
const ORDERS_PER_BATCH = 8
/** Between two batches others have their turn. */
const REST_MS = 20
const HOLD_MS = 60_000

/** Thrown to have a transaction undone. */
class Undo extends Error {
  override readonly name = 'Undo'
}

/**
 * Begins to practise, beside everything else, as nobody waits for it; ends when `taken`, how many real orders this process
 * has taken, were practice enough. `stop` resolves when nothing of it is under way. Nothing for a database with
 * processes of its own.
 */
export function startPractice(
  database: Database,
  processId: string,
  taken: () => number,
  log: Pick<Logger, 'info' | 'warn'>,
): { readonly done: Promise<void>; readonly stop: () => Promise<void> } {
  let isStopped = false
  const practise = async (): Promise<void> => {
    let batches = 0
    while (batches < BATCHES) {
      await delay(systemTimers, REST_MS)
      if (isStopped || taken() >= BATCHES * ORDERS_PER_BATCH) break
      await takeAndUndo(database, practiceSaleId(processId))
      batches += 1
    }
    log.info({ batches }, 'practised taking orders')
  }
  const isEmbedded = database.kind === 'pglite'
  const done = isEmbedded ? practise().catch((err: unknown) => log.warn({ err }, 'no practice')) : Promise.resolve()
  return {
    done,
    async stop() {
      isStopped = true
      await done
    },
  }
}

async function takeAndUndo(database: Database, saleId: string): Promise<void> {
  try {
    await database.transaction(async (transaction) => {
      const inside: Database = {
        kind: database.kind,
        query: async (sql, parameters) => transaction.query(sql, parameters),
        transaction: async (work) => work(transaction),
        close: async () => {},
      }
      const ledger = new SqlLedger(inside)
      await ledger.createSale(saleOf(saleId))
      const upTo = { era: 1, seq: ORDERS_PER_BATCH }
      await ledger.take(saleId, { storeEra: 1, after: { era: 0, seq: 0 }, upTo, orders: ordersOf(saleId) })
      throw new Undo()
    })
  } catch (error) {
    if (!(error instanceof Undo)) throw error
  }
}

function saleOf(id: string): SaleDefinition {
  return {
    id,
    name: 'Practice',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: 1,
    holdMs: HOLD_MS,
    fares: [{ id: 'seat', name: 'Seat', price: { amount: 1, currency: 'EUR' }, stock: ORDERS_PER_BATCH }],
    orderIdSecret: '00'.repeat(32),
  }
}

function ordersOf(saleId: string): Order[] {
  return Array.from({ length: ORDERS_PER_BATCH }, (_, index) => ({
    id: `${saleId}-${index}`,
    fareId: 'seat',
    quantity: 1,
    buyer: `buyer-${index}`,
    state: 'held',
    reason: null,
    createdAtMs: 1,
    createdSeq: index + 1,
    paidAtMs: null,
    paidSeq: null,
    releasedAtMs: null,
    releasedSeq: null,
  }))
}
