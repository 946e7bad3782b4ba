import { quota, type QuotaView } from '../operations/quota.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { salePath } from './sale-path.ts'
import { table } from './table.ts'

export const registerQuota: RegisterCommand = (cli) => {
  cli.program
    .command('quota')
    .argument('<id>')
    .description('who may sell how much at the moment')
    .action(
      cli.action(async (common, _options, id: string) => {
        const call = { method: 'GET', path: salePath(id, 'quota') } as const
        const view = await ask<QuotaView>(common, call, (world) => quota(world, id))
        return { json: view, text: textOf(view) }
      }),
    )
}

function textOf({ fares, version }: QuotaView): string {
  const rows = fares.flatMap((fare) =>
    fare.nodes.map(({ id, weight, allowance, inFlight, available, buffer, confirmed }) => [
      fare.id,
      fare.remaining,
      id,
      weight,
      allowance,
      inFlight,
      available,
      buffer,
      confirmed,
    ]),
  )
  const head = ['FARE', 'REMAINING', 'NODE', 'WEIGHT', 'ALLOWANCE', 'IN FLIGHT', 'AVAILABLE', 'BUFFER', 'CONFIRMED']
  return `${table(head, rows)}\nat era ${version.era} seq ${version.seq}`
}
