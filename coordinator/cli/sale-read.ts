import { listSales, readSale } from '../operations/sales.ts'
import { saleView, type SaleView } from '../operations/views.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { salePath } from './sale-path.ts'
import { table } from './table.ts'

export const registerSaleReads: RegisterCommand = (cli) => {
  const sale = group(cli.program, 'sale', 'make, look at and steer sales')
  sale
    .command('list')
    .description('all sales')
    .action(
      cli.action(async (common) => {
        const call = { method: 'GET', path: '/admin/sales' } as const
        const view = await ask<{ readonly items: readonly SaleView[] }>(common, call, listSales)
        return { json: view, text: listText(view.items) }
      }),
    )
  sale
    .command('show')
    .argument('<id>')
    .description('one sale with its fares')
    .action(
      cli.action(async (common, _options, id: string) => {
        const call = { method: 'GET', path: salePath(id) } as const
        const view = await ask<SaleView>(common, call, async (world) => saleView(await readSale(world, id)))
        return { json: view, text: showText(view) }
      }),
    )
}

function stateOf({ state, recovering }: SaleView): string {
  return recovering ? `${state}, recovering` : state
}

function listText(sales: readonly SaleView[]): string {
  const rows = sales.map((sale) => {
    const sum = (counter: 'stock' | 'remaining') => sale.fares.reduce((total, fare) => total + fare[counter], 0)
    return [sale.id, stateOf(sale), sum('stock'), sum('remaining'), sale.opensAt, sale.name]
  })
  return table(['SALE', 'STATE', 'STOCK', 'REMAINING', 'OPENS', 'NAME'], rows)
}

export function showText(sale: SaleView): string {
  return [
    `${sale.id}: ${sale.name}`,
    `${stateOf(sale)}, era ${sale.version.era} seq ${sale.version.seq}`,
    `opens ${sale.opensAt ?? 'by hand'}, closes ${sale.closesAt ?? 'by hand'}`,
    `at most ${sale.limitPerBuyer} per buyer, held for ${sale.holdSeconds} s`,
    table(
      ['FARE', 'STOCK', 'REMAINING', 'HELD', 'PAID', 'PRICE', 'NAME'],
      sale.fares.map(({ id, stock, remaining, held, paid, price, name }) => [
        id,
        stock,
        remaining,
        held,
        paid,
        `${price.amount} ${price.currency}`,
        name,
      ]),
    ),
  ].join('\n')
}
