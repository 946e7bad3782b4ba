/** A sale in PostgreSQL: one row with the stock, one row per order; its key makes a repeat known. */
import pg from 'pg'
import type { Baseline, Making, Sold } from './baseline.ts'

export const USER = 'farebox'
const CONNECTIONS = 16
const UNIQUE_VIOLATION = '23505'

/** Rows of a statement that the server prepares once per connection, under its name. */
export type Query = (name: string, text: string, values: readonly unknown[]) => Promise<Record<string, unknown>[]>

export function connectPostgres(socketDirectory: string, max: number): pg.Pool {
  const pool = new pg.Pool({ host: socketDirectory, user: USER, database: 'postgres', max })
  pool.on('error', () => {})
  return pool
}

export function queryOn(client: pg.Pool | pg.PoolClient): Query {
  return async (name, text, values) =>
    (await client.query<Record<string, unknown>>({ name, text, values: [...values] })).rows
}

/** `buy` may find that another request with the same key has just made the order. */
export async function sqlBaseline(
  { store, stock, isFirst }: Making,
  buy: (pool: pg.Pool, buyer: string, key: string) => Promise<Sold>,
): Promise<Baseline> {
  const pool = connectPostgres(store, CONNECTIONS)
  if (isFirst) {
    await pool.query('create table stock (id int primary key, remaining int not null, version int not null)')
    await pool.query(
      'create table orders (key text primary key, buyer text not null, made_at timestamptz default now())',
    )
    await pool.query('insert into stock values (1, $1, 1)', [stock])
  }
  return {
    async buy(buyer, key) {
      try {
        return await buy(pool, buyer, key)
      } catch (error) {
        if ((error as { code?: string }).code === UNIQUE_VIOLATION) return 'replayed'
        throw error
      }
    },
    giveBack: async (count) => void (await pool.query('update stock set remaining = remaining + $1', [count])),
    async count() {
      const [row] = await queryOn(pool)(
        'count',
        'select remaining, (select count(*) from orders) as sold from stock',
        [],
      )
      return { remaining: Number(row?.['remaining']), sold: Number(row?.['sold']) }
    },
  }
}

export async function noMore(query: Query, key: string): Promise<Sold> {
  return (await query('known', 'select 1 from orders where key = $1', [key])).length > 0 ? 'replayed' : 'refused'
}
