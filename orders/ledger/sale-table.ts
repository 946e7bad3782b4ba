/** Sales with their fares, as rows. */
import type { SaleDefinition, SaleState } from '../../stock/core/words.ts'
import type { Query, Transaction } from './database.ts'
import type { LedgerFare, LedgerSale } from './ledger.ts'

interface SaleRow {
  readonly id: string
  readonly definition: string
  readonly state: SaleState
  readonly era: number
  readonly taken_era: number
  readonly taken_seq: number
  readonly watermark_era: number
  readonly watermark_seq: number
  readonly watermark_durable: boolean
  readonly watermark_fingerprint: string
  readonly fare_id: string | null
  readonly stock: number
  readonly held: number
  readonly paid: number
}

/** One sale, or all by id when none is named; all read at one instant. */
export async function readSales(query: Query, saleId: string | null): Promise<LedgerSale[]> {
  const rows = await query.query<SaleRow>(
    `select s.id, s.definition, s.state, s.era, s.taken_era, s.taken_seq, s.watermark_era, s.watermark_seq,
        s.watermark_durable, s.watermark_fingerprint, f.id as fare_id, f.stock, f.held, f.paid
      from sales s left join fares f on f.sale_id = s.id
      where $1::text is null or s.id = $1 order by s.id, f.place`,
    [saleId],
  )
  const bySale = new Map<string, SaleRow[]>()
  for (const row of rows) bySale.set(row.id, [...(bySale.get(row.id) ?? []), row])
  return [...bySale.values()].flatMap((group) => saleOf(group))
}

function saleOf(rows: readonly SaleRow[]): LedgerSale[] {
  const [first] = rows
  if (first === undefined) return []
  const fares = rows.flatMap(({ fare_id: fareId, stock, held, paid }): LedgerFare[] =>
    fareId === null ? [] : [{ fareId, stock, held, paid }],
  )
  const sale: LedgerSale = {
    definition: JSON.parse(first.definition) as SaleDefinition,
    state: first.state,
    fares,
    era: first.era,
    taken: { era: first.taken_era, seq: first.taken_seq },
    watermark: {
      version: { era: first.watermark_era, seq: first.watermark_seq },
      durable: first.watermark_durable,
      fingerprint: first.watermark_fingerprint,
    },
  }
  return [sale]
}

export async function insertSale(transaction: Transaction, definition: SaleDefinition): Promise<boolean> {
  const { id, limitPerBuyer, opensAtMs, fares } = definition
  const inserted = await transaction.query(
    `insert into sales (id, definition, limit_per_buyer, state, era) values ($1, $2, $3, $4, 1)
      on conflict (id) do nothing returning id`,
    [id, JSON.stringify(definition), limitPerBuyer, opensAtMs === null ? 'draft' : 'scheduled'],
  )
  if (inserted.length === 0) return false
  await transaction.query(
    `insert into fares (sale_id, id, place, price_amount, price_currency, stock)
      select $1, n.id, n.place, n.amount, n.currency, n.stock
      from unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[])
        with ordinality as n (id, amount, currency, stock, place)`,
    [
      id,
      fares.map((fare) => fare.id),
      fares.map(({ price }) => price.amount),
      fares.map(({ price }) => price.currency),
      fares.map(({ stock }) => stock),
    ],
  )
  return true
}
