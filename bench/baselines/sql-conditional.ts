/** UPDATE … WHERE remaining > 0, with the order inserted by the same statement. */
import type { MakeBaseline } from './baseline.ts'
import { noMore, queryOn, sqlBaseline } from './sql.ts'

const BUY = `
with taken as (update stock set remaining = remaining - 1 where id = 1 and remaining > 0 returning id)
insert into orders (key, buyer) select $1, $2 from taken returning key`

export const sqlConditional: MakeBaseline = (making) =>
  sqlBaseline(making, async (pool, buyer, key) => {
    const query = queryOn(pool)
    return (await query('buy', BUY, [key, buyer])).length > 0 ? 'won' : noMore(query, key)
  })
