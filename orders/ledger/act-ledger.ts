/**
 * What operators did to a sale, in the ledger: its state and its stock, which of these the store is still to be told,
 * and transfers under way.
 *
 * Opening and raising come here first and are then told the store; until that is known to have happened they are
 * `untold`. Pausing, closing and lowering come here after the store did them. So wherever a crash cuts an act in two,
 * the difference between ledger and store together with `untold` says which of the two the operator asked for. A mark
 * says in which turn it was made: a leader may have stopped the sale by itself since, in the store alone.
 *
 * Every act begins with a turn: the next number of its sale. From then on nothing is written here for an act with a
 * lower one, and nothing for any that began before a new era: whatever writes says whose turn it is, and learns by `false`
 * that this one is over.
 */
import type { SaleState } from '../../stock/core/words.ts'
import type { Database, Transaction } from './database.ts'

/** `state`, or a fare's stock. */
export type Subject = 'state' | { readonly stockOf: string }

export interface Turn {
  readonly saleId: string
  /** Grows with every act on the sale. */
  readonly number: number
}

export interface Transfer {
  readonly fromSale: string
  readonly fromFare: string
  readonly toSale: string
  readonly toFare: string
  readonly tickets: number
  /** The stock that `fromFare` is to be lowered to. */
  readonly fromStock: number
}

/** What the store is still to be told of a sale. */
export interface Untold {
  /** Of the opening; null when its state is not among it. */
  readonly stateTurn: number | null
  readonly fareIds: ReadonlySet<string>
}

/** What is asked of it, also of its twin in memory. */
export type Acts = Pick<ActLedger, keyof ActLedger>

export class ActLedger {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** An act begins; its number is above `above` as well. Null when there is no such sale. */
  async beginTurn(saleId: string, above: number): Promise<Turn | null> {
    const [row] = await this.#database.query<{ turn: number }>(
      'update sales set turn = greatest(turn, $2::bigint) + 1 where id = $1 returning turn',
      [saleId, above],
    )
    return row === undefined ? null : { saleId, number: row.turn }
  }

  /** The store does not know yet. */
  beginState(turn: Turn, state: SaleState): Promise<boolean> {
    return this.#during(turn, async (transaction) => {
      await setState(transaction, turn.saleId, state)
      await noteUntold(transaction, turn, 'state')
    })
  }

  /** The store knows already. */
  followState(turn: Turn, state: SaleState): Promise<boolean> {
    return this.#during(turn, async (transaction) => {
      await setState(transaction, turn.saleId, state)
      await forget(transaction, turn.saleId, 'state')
    })
  }

  beginStock(turn: Turn, fareId: string, stock: number): Promise<boolean> {
    return this.#during(turn, async (transaction) => {
      await setStock(transaction, turn.saleId, fareId, stock)
      await noteUntold(transaction, turn, { stockOf: fareId })
    })
  }

  /** Rejects with `DatabaseError` (refused) below held + paid. */
  followStock(turn: Turn, fareId: string, stock: number): Promise<boolean> {
    return this.#during(turn, async (transaction) => {
      await setStock(transaction, turn.saleId, fareId, stock)
      await forget(transaction, turn.saleId, { stockOf: fareId })
    })
  }

  told(turn: Turn, subject: Subject): Promise<boolean> {
    return this.#during(turn, (transaction) => forget(transaction, turn.saleId, subject))
  }

  async untold(saleId: string): Promise<Untold> {
    const rows = await this.#database.query<{ subject: string; turn: number }>(
      'select subject, turn from untold where sale_id = $1',
      [saleId],
    )
    const subjects = rows.map(({ subject }) => subject)
    const fareIds = subjects
      .filter((subject) => subject.startsWith(STOCK))
      .map((subject) => subject.slice(STOCK.length))
    return { stateTurn: rows.find(({ subject }) => subject === 'state')?.turn ?? null, fareIds: new Set(fareIds) }
  }

  /** In a turn of the sale that it is from. False also when one from that fare is under way. */
  async beginTransfer(turn: Turn, transfer: Omit<Transfer, 'fromSale'>): Promise<boolean> {
    const { fromFare, toSale, toFare, tickets, fromStock } = transfer
    let isNew = false
    const isOn = await this.#during(turn, async (transaction) => {
      const rows = await transaction.query(
        `insert into transfers (from_sale, from_fare, to_sale, to_fare, tickets, from_stock)
          values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning from_sale`,
        [turn.saleId, fromFare, toSale, toFare, tickets, fromStock],
      )
      isNew = rows.length > 0
    })
    return isOn && isNew
  }

  dropTransfer(turn: Turn, fromFare: string): Promise<boolean> {
    return this.#during(turn, async (transaction) => {
      await transaction.query('delete from transfers where from_sale = $1 and from_fare = $2', [turn.saleId, fromFare])
    })
  }

  /**
   * The store has lowered the one fare: takes the tickets from it and gives them to the other, which the store is then
   * to be told. False also when none from that fare to that sale is under way.
   */
  async carryTransfer(turn: Turn, fromFare: string, toSale: string): Promise<boolean> {
    return this.#database.transaction(async (transaction) => {
      // In the order of their ids, so that two transfers cannot wait for each other.
      const locked = await lockSales(transaction, [turn.saleId, toSale])
      if (!locked.some(({ id, turn: number }) => id === turn.saleId && number === turn.number)) return false
      const [row] = await transaction.query<{ to_fare: string; tickets: number; from_stock: number }>(
        `delete from transfers where from_sale = $1 and from_fare = $2 and to_sale = $3
          returning to_fare, tickets, from_stock`,
        [turn.saleId, fromFare, toSale],
      )
      if (row === undefined) return false
      await setStock(transaction, turn.saleId, fromFare, row.from_stock)
      await transaction.query('update fares set stock = stock + $3 where sale_id = $1 and id = $2', [
        toSale,
        row.to_fare,
        row.tickets,
      ])
      await forget(transaction, turn.saleId, { stockOf: fromFare })
      const there = locked.find(({ id }) => id === toSale)
      if (there !== undefined)
        await noteUntold(transaction, { saleId: toSale, number: there.turn }, { stockOf: row.to_fare })
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

  /** False, and nothing done, when the turn is over; it cannot end before what is done is there. */
  #during({ saleId, number }: Turn, work: (transaction: Transaction) => Promise<void>): Promise<boolean> {
    return this.#database.transaction(async (transaction) => {
      const [row] = await lockSales(transaction, [saleId])
      if (row?.turn !== number) return false
      await work(transaction)
      return true
    })
  }
}

const STOCK = 'stock:'

function keyOf(subject: Subject): string {
  return subject === 'state' ? 'state' : STOCK + subject.stockOf
}

/** Everybody who changes orders locks their sale's row; so do those who change its fares, and those who begin a turn. */
async function lockSales(
  transaction: Transaction,
  saleIds: readonly string[],
): Promise<readonly { readonly id: string; readonly turn: number }[]> {
  return transaction.query('select id, turn from sales where id = any($1::text[]) order by id for update', [saleIds])
}

async function setState(transaction: Transaction, saleId: string, state: SaleState): Promise<void> {
  await transaction.query('update sales set state = $2 where id = $1', [saleId, state])
}

async function setStock(transaction: Transaction, saleId: string, fareId: string, stock: number): Promise<void> {
  await transaction.query('update fares set stock = $3 where sale_id = $1 and id = $2', [saleId, fareId, stock])
}

async function noteUntold(transaction: Transaction, { saleId, number }: Turn, subject: Subject): Promise<void> {
  await transaction.query(
    `insert into untold (sale_id, subject, turn) values ($1, $2, $3)
      on conflict (sale_id, subject) do update set turn = excluded.turn`,
    [saleId, keyOf(subject), number],
  )
}

async function forget(transaction: Transaction, saleId: string, subject: Subject): Promise<void> {
  await transaction.query('delete from untold where sale_id = $1 and subject = $2', [saleId, keyOf(subject)])
}
