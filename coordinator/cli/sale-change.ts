import type { StateChange } from '../../stock/port.ts'
import { changeSale, readSale, type ChangeResult } from '../operations/sales.ts'
import { saleView, type SaleView } from '../operations/views.ts'
import { ask } from './cluster.ts'
import { confirm } from './confirm.ts'
import type { Cli, CommonOptions, RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { salePath } from './sale-path.ts'
import { showText } from './sale-read.ts'

export const registerSaleChanges: RegisterCommand = (cli) => {
  registerChange(cli, 'open', 'open a sale, or let a paused one go on')
  registerChange(cli, 'pause', 'sell nothing until it is opened again')
  registerChange(cli, 'close', 'end the sale for good; held orders may still be paid', confirmClose)
  registerRecover(cli)
}

type Confirm = (common: CommonOptions, id: string, yes: boolean | undefined) => Promise<void>

function registerChange(cli: Cli, change: StateChange, description: string, confirmed?: Confirm): void {
  group(cli.program, 'sale', 'make, look at and steer sales')
    .command(change)
    .argument('<id>')
    .option('--yes', confirmed === undefined ? 'accepted for scripts; nothing is asked' : 'do not ask')
    .description(description)
    .action(
      cli.action(async (common, options: { yes?: boolean }, id: string) => {
        const call = { method: 'POST', path: salePath(id, change) } as const
        await confirmed?.(common, id, options.yes)
        const result = await ask<ChangeResult>(common, call, (world) => changeSale(world, id, change))
        return { json: result, text: changeText(result) }
      }),
    )
}

/** No sale is ever opened again. */
async function confirmClose(common: CommonOptions, id: string, yes: boolean | undefined): Promise<void> {
  const question = `Close sale "${id}" for good? Nothing more is sold; held orders may be paid until their deadline.`
  await confirm(question, yes, async () => {
    const call = { method: 'GET', path: salePath(id) } as const
    const sale = await ask<SaleView>(common, call, async (world) => saleView(await readSale(world, id)))
    return [showText(sale)]
  })
}

function registerRecover(cli: Cli): void {
  group(cli.program, 'sale', 'make, look at and steer sales')
    .command('recover')
    .argument('<id>')
    .option('--yes', 'do not ask')
    .description('open a recovering sale with what the store holds, whatever may be missing')
    .action(
      cli.action(async (common, options: { yes?: boolean }, id: string) => {
        const path = salePath(id, 'recover')
        const question = `Open sale "${id}" with what the store holds? Orders that the store has lost may be sold again.`
        await confirm(question, options.yes)
        const result = await ask<ChangeResult>(common, { method: 'POST', path }, null)
        return { json: result, text: changeText(result) }
      }),
    )
}

export function changeText({ outcome, sale, notHeardBy }: ChangeResult): string {
  const what = outcome === 'unchanged' ? 'nothing to do' : outcome
  const late = notHeardBy.length === 0 ? '' : `; not yet heard by ${notHeardBy.join(', ')}`
  return `sale ${sale.id}: ${what}, ${sale.state}${late}`
}
