import { setStock, transfer, type ChangeResult, type TransferResult } from '../operations/sales.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { changeText } from './sale-change.ts'
import { salePath } from './sale-path.ts'

export const registerSaleStock: RegisterCommand = (cli) => {
  const sale = group(cli.program, 'sale', 'make, look at and steer sales')
  sale
    .command('stock')
    .argument('<id>')
    .argument('<fare>')
    .requiredOption('--set <n>', 'how many tickets there are in all')
    .description('raise or lower a fare’s stock, also in mid-sale; never below what is held and paid')
    .action(
      cli.action(async (common, options: { set: string }, id: string, fareId: string) => {
        const stock = wholeNumber('--set', options.set)
        const call = { method: 'POST', path: salePath(id, 'stock'), body: JSON.stringify({ fareId, stock }) } as const
        const result = await ask<ChangeResult>(common, call, (world) => setStock(world, id, fareId, stock))
        const fare = result.sale.fares.find((candidate) => candidate.id === fareId)
        const text = `${changeText(result)}; ${fareId}: stock ${fare?.stock ?? stock}, remaining ${fare?.remaining ?? 0}`
        return { json: result, text }
      }),
    )
  sale
    .command('transfer')
    .argument('<from>', 'sale to take from')
    .argument('<fare>', 'its fare')
    .argument('<to>', 'sale to give to, may be the same')
    .argument('<to-fare>', 'its fare')
    .description('carry what is left of one fare to another')
    .action(
      cli.action(async (common, _options, fromSale: string, fromFare: string, toSale: string, toFare: string) => {
        salePath(fromSale)
        salePath(toSale)
        if (fromSale === toSale && fromFare === toFare) {
          throw new CliError(EXIT.usage, 'usage', 'a transfer is from one fare to another')
        }
        const body = JSON.stringify({ fromSale, fromFare, toSale, toFare })
        const [from, to] = [
          { saleId: fromSale, fareId: fromFare },
          { saleId: toSale, fareId: toFare },
        ]
        const call = { method: 'POST', path: '/admin/transfers', body } as const
        const result = await ask<TransferResult>(common, call, (world) => transfer(world, from, to))
        const text =
          result.tickets === 0
            ? `${fromFare} of sale ${fromSale} has nothing left`
            : `${result.tickets} tickets from ${fromFare} of sale ${fromSale} to ${toFare} of sale ${toSale}`
        return { json: result, text }
      }),
    )
}

const STOCK_MAX = 1_000_000_000

function wholeNumber(option: string, text: string): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value <= STOCK_MAX) return value
  throw new CliError(EXIT.usage, 'usage', `${option} ${text}: a whole number from 0 to ${STOCK_MAX} is expected`)
}
