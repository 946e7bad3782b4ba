import type { ChangeResult } from '../operations/sales.ts'
import { ask } from './cluster.ts'
import { readSaleText } from '../supervise/sale.ts'
import { cliError } from './cluster-failure.ts'
import type { RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { changeText } from './sale-change.ts'

export const registerSaleCreate: RegisterCommand = (cli) => {
  group(cli.program, 'sale', 'make, look at and steer sales')
    .command('create')
    .argument('<file>', 'YAML file of the sale')
    .description('make a sale; one that exists and is the same is left as it is')
    .action(
      cli.action(async (common, _options, file: string) => {
        const body = textOf(file)
        const result = await ask<ChangeResult>(common, { method: 'POST', path: '/admin/sales', body }, null)
        return { json: result, text: changeText(result) }
      }),
    )
}

/** Faults are told before anything is asked of the cluster. */
function textOf(file: string): string {
  try {
    return readSaleText(file).text
  } catch (error) {
    throw cliError(error)
  }
}
