/** A version column: read, and write only if nobody else has written meanwhile; else from the beginning. */
import type { MakeBaseline } from './baseline.ts'
import { noMore, queryOn, sqlBaseline } from './sql.ts'

const TRIES_MAX = 1000
const BUY = `
with taken as (
  update stock set remaining = remaining - 1, version = version + 1 where id = 1 and version = $3 returning id)
insert into orders (key, buyer) select $1, $2 from taken returning key`

export const sqlVersion: MakeBaseline = (making) =>
  sqlBaseline(making, async (pool, buyer, key) => {
    const query = queryOn(pool)
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const [row] = await query('look', 'select remaining, version from stock where id = 1', [])
      if (Number(row?.['remaining']) < 1) return noMore(query, key)
      if ((await query('buy', BUY, [key, buyer, row?.['version']])).length > 0) return 'won'
    }
    return 'again'
  })
