import type { StateChange } from '../../stock/port.ts'
import { changeSale, type ChangeResult } from '../operations/sales.ts'
import { ask } from './cluster.ts'
import { confirm } from './confirm.ts'
import type { Cli, RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { salePath } from './sale-path.ts'

export const registerSaleChanges: RegisterCommand = (cli) => {
  registerChange(cli, 'open', 'open a sale, or let a paused one go on')
  registerChange(cli, 'pause', 'sell nothing until it is opened again')
  registerChange(cli, 'close', 'end the sale for good; held orders may still be paid')
  registerRecover(cli)
}

function registerChange(cli: Cli, change: StateChange, description: string): void {
  group(cli.program, 'sale', 'make, look at and steer sales')
    .command(change)
    .argument('<id>')
    .option('--yes', 'accepted for scripts; nothing is asked')
    .description(description)
    .action(
      cli.action(async (common, _options, id: string) => {
        const call = { method: 'POST', path: salePath(id, change) } as const
        const result = await ask<ChangeResult>(common, call, (world) => changeSale(world, id, change))
        return { json: result, text: changeText(result) }
      }),
    )
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
