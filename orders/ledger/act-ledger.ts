/**
 * What operators did to a sale, in the ledger: its state and its stock, which of these the store is still to be told,
 * and transfers under way.
 *
 * Opening and raising come here first and are then told the store; until that is known to have happened they are
 * `untold`. Pausing, closing and lowering come here after the store did them. So wherever a crash cuts an act in two,
 * the difference between ledger and store together with `untold` says which of the two the operator asked for.
 */
import type { SaleState } from '../../stock/core/words.ts'
import type { Database, Transaction } from './database.ts'

/** `state`, or a fare's stock. */
export type Subject = 'state' | { readonly stockOf: string }

export interface Transfer {
  readonly fromSale: string
  readonly fromFare: string
  readonly toSale: string
  readonly toFare: string
  readonly tickets: number
  /** The stock that `fromFare` is to be lowered to. */
  readonly fromStock: number
}

/** What is asked of it, also of its twin in memory. */
export type Acts = Pick<ActLedger, keyof ActLedger>

export class ActLedger {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** The store does not know yet. */
  async beginState(saleId: string, state: SaleState): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      await setState(transaction, saleId, state)
      await noteUntold(transaction, saleId, 'state')
    })
  }

  /** The store knows already. */
  async followState(saleId: string, state: SaleState): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      await setState(transaction, saleId, state)
      await forget(transaction, saleId, 'state')
    })
  }

  async beginStock(saleId: string, fareId: string, stock: number): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      await setStock(transaction, saleId, fareId, stock)
      await noteUntold(transaction, saleId, { stockOf: fareId })
    })
  }

  /** Rejects with `DatabaseError` (refused) below held + paid. */
  async followStock(saleId: string, fareId: string, stock: number): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      await setStock(transaction, saleId, fareId, stock)
      await forget(transaction, saleId, { stockOf: fareId })
    })
  }

  async told(saleId: string, subject: Subject): Promise<void> {
    await forget(this.#database, saleId, subject)
  }

  /** What the store is still to be told of a sale. */
  async untold(saleId: string): Promise<{ readonly state: boolean; readonly fareIds: ReadonlySet<string> }> {
    const rows = await this.#database.query<{ subject: string }>('select subject from untold where sale_id = $1', [
      saleId,
    ])
    const subjects = rows.map(({ subject }) => subject)
    const fareIds = subjects
      .filter((subject) => subject.startsWith(STOCK))
      .map((subject) => subject.slice(STOCK.length))
    return { state: subjects.includes('state'), fareIds: new Set(fareIds) }
  }

  /** False when one from that fare is under way. */
  async beginTransfer(transfer: Transfer): Promise<boolean> {
    const { fromSale, fromFare, toSale, toFare, tickets, fromStock } = transfer
    const rows = await this.#database.query(
      `insert into transfers (from_sale, from_fare, to_sale, to_fare, tickets, from_stock)
        values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning from_sale`,
      [fromSale, fromFare, toSale, toFare, tickets, fromStock],
    )
    return rows.length > 0
  }

  async dropTransfer({ fromSale, fromFare }: Transfer): Promise<void> {
    await this.#database.query('delete from transfers where from_sale = $1 and from_fare = $2', [fromSale, fromFare])
  }

  /**
   * The store has lowered the one fare: takes the tickets from it and gives them to the other, which the store is then
   * to be told. False when somebody did so before.
   */
  async carryTransfer({ fromSale, fromFare }: Transfer): Promise<boolean> {
    return this.#database.transaction(async (transaction) => {
      const [row] = await transaction.query<{ to_sale: string; to_fare: string; tickets: number; from_stock: number }>(
        'delete from transfers where from_sale = $1 and from_fare = $2 returning to_sale, to_fare, tickets, from_stock',
        [fromSale, fromFare],
      )
      if (row === undefined) return false
      // In the order of their ids, so that two transfers cannot wait for each other.
      await lockSales(transaction, [fromSale, row.to_sale])
      await setStock(transaction, fromSale, fromFare, row.from_stock)
      await transaction.query('update fares set stock = stock + $3 where sale_id = $1 and id = $2', [
        row.to_sale,
        row.to_fare,
        row.tickets,
      ])
      await forget(transaction, fromSale, { stockOf: fromFare })
      await noteUntold(transaction, row.to_sale, { stockOf: row.to_fare })
      return true
    })
  }

  async transfers(): Promise<readonly Transfer[]> {
    return this.#database.query<Transfer>(
      `select from_sale as "fromSale", from_fare as "fromFare", to_sale as "toSale", to_fare as "toFare", tickets,
          from_stock as "fromStock"
        from transfers order by from_sale, from_fare`,
    )
  }
}

const STOCK = 'stock:'

function keyOf(subject: Subject): string {
  return subject === 'state' ? 'state' : STOCK + subject.stockOf
}

/** Everybody who changes orders locks their sale's row; so do those who change its fares. */
async function lockSales(transaction: Transaction, saleIds: readonly string[]): Promise<void> {
  await transaction.query('select id from sales where id = any($1::text[]) order by id for update', [saleIds])
}

async function setState(transaction: Transaction, saleId: string, state: SaleState): Promise<void> {
  await transaction.query('update sales set state = $2 where id = $1', [saleId, state])
}

async function setStock(transaction: Transaction, saleId: string, fareId: string, stock: number): Promise<void> {
  await lockSales(transaction, [saleId])
  await transaction.query('update fares set stock = $3 where sale_id = $1 and id = $2', [saleId, fareId, stock])
}

async function noteUntold(transaction: Transaction, saleId: string, subject: Subject): Promise<void> {
  await transaction.query('insert into untold (sale_id, subject) values ($1, $2) on conflict do nothing', [
    saleId,
    keyOf(subject),
  ])
}

async function forget(query: Pick<Database, 'query'>, saleId: string, subject: Subject): Promise<void> {
  await query.query('delete from untold where sale_id = $1 and subject = $2', [saleId, keyOf(subject)])
}
