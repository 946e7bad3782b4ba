/** SELECT … FOR UPDATE: one transaction at a time has the row, the others wait for it. */
import type { MakeBaseline } from './baseline.ts'
import { noMore, type Query, queryOn, sqlBaseline } from './sql.ts'

export const sqlRowLock: MakeBaseline = (making) =>
  sqlBaseline(making, async (pool, buyer, key) => {
    const client = await pool.connect()
    try {
      await client.query('begin')
      const sold = await buy(queryOn(client), buyer, key)
      await client.query('commit')
      return sold
    } catch (error) {
      await client.query('rollback')
      throw error
    } finally {
      client.release()
    }
  })

async function buy(query: Query, buyer: string, key: string): Promise<'won' | Awaited<ReturnType<typeof noMore>>> {
  const [row] = await query('lock', 'select remaining from stock where id = 1 for update', [])
  if (Number(row?.['remaining']) < 1) return noMore(query, key)
  await query('insert', 'insert into orders (key, buyer) values ($1, $2)', [key, buyer])
  await query('take', 'update stock set remaining = remaining - 1 where id = 1', [])
  return 'won'
}
