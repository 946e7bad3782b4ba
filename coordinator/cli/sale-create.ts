import { readFile } from 'node:fs/promises'
import { describeFaults } from '../../config/faults.ts'
import { parseSaleFile } from '../../config/sale-file.ts'
import type { ChangeResult } from '../operations/sales.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { changeText } from './sale-change.ts'

export const registerSaleCreate: RegisterCommand = (cli) => {
  group(cli.program, 'sale', 'make, look at and steer sales')
    .command('create')
    .argument('<file>', 'YAML file of the sale')
    .description('make a sale; one that exists and is the same is left as it is')
    .action(
      cli.action(async (common, _options, file: string) => {
        const body = await readSaleText(file)
        const result = await ask<ChangeResult>(common, { method: 'POST', path: '/admin/sales', body }, null)
        return { json: result, text: changeText(result) }
      }),
    )
}

/** Faults are told before anything is asked of the cluster. */
async function readSaleText(file: string): Promise<string> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(EXIT.usage, 'bad_sale_file', `the sale file cannot be read: ${why}`)
  }
  const parsed = parseSaleFile(text)
  if (parsed.ok) return text
  const message = `${file}: ${describeFaults(parsed.faults)}`
  throw new CliError(EXIT.usage, 'bad_sale_file', message, { faults: parsed.faults })
}
