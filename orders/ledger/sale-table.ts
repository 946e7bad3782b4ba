/** Sales with their fares, as rows. */
import type { SaleDefinition, SaleState } from '../../stock/core/words.ts'
import type { Query } from './database.ts'
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
