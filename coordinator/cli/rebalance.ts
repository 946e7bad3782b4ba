import type { Balance, RebalanceResult } from '../operations/rebalance.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type RegisterCommand } from './frame.ts'
import { parseWeight } from './node.ts'
import { isId, salePath } from './sale-path.ts'
import { table } from './table.ts'
import { EXPECT_OPTION, parseVersion, versionText } from './version-option.ts'

interface RebalanceOptions {
  readonly weights?: string
  readonly dryRun?: boolean
  readonly expect?: string
}

export const registerRebalance: RegisterCommand = (cli) => {
  cli.program
    .command('rebalance')
    .argument('<id>', 'the sale')
    .option('--weights <list>', 'shares for this sale alone, such as n1=1,n2=2; without: back to the rule')
    .option('--dry-run', 'show before and after, and change nothing')
    .option(...EXPECT_OPTION)
    .option('--yes', 'accepted for scripts; nothing is asked')
    .description('share the quota of a sale anew, while it sells')
    .action(
      cli.action(async (common, options: RebalanceOptions, id: string) => {
        const weights = parseWeights(options.weights)
        const plan = JSON.stringify({ weights, expected: parseVersion(options.expect) })
        const path = salePath(id, 'rebalance')
        const call = options.dryRun
          ? ({ method: 'GET', path: `${path}?plan=${encodeURIComponent(plan)}` } as const)
          : ({ method: 'POST', path, body: plan } as const)
        const result = await ask<RebalanceResult>(common, call, null)
        return { json: result, text: textOf(result) }
      }),
    )
}

function parseWeights(text: string | undefined): Record<string, number> | null {
  if (text === undefined) return null
  return Object.fromEntries(
    text.split(',').map((part) => {
      const [id = '', weight = '', ...rest] = part.split('=')
      if (isId(id) && rest.length === 0) return [id, parseWeight(`--weights ${id}`, weight)]
      throw new CliError(EXIT.usage, 'usage', `--weights ${part}: something like n1=2 is expected`)
    }),
  )
}

function cell(balance: Balance, id: string, fare: string | null): number | null {
  const node = balance.nodes.find((candidate) => candidate.id === id)
  if (node === undefined) return null
  return fare === null ? node.weight : (node.allowances[fare] ?? 0)
}

function textOf({ saleId, outcome, version, before, after, notHeardBy }: RebalanceResult): string {
  const fares = Object.keys(after.nodes[0]?.allowances ?? {})
  const columns = [null, ...fares].flatMap((fare) => [
    (id: string) => cell(before, id, fare),
    (id: string) => cell(after, id, fare),
  ])
  const head = ['NODE', 'STATE', ...['WEIGHT', ...fares].flatMap((name) => [name, 'AFTER'])]
  const rows = after.nodes.map(({ id, state }) => [id, state, ...columns.map((column) => column(id))])
  const done = { planned: 'would change as shown', changed: 'changed', unchanged: 'nothing to do' }[outcome]
  const rule = after.shares === null ? "shared by the cluster's rule" : 'shared as given, for this sale alone'
  const late = notHeardBy.length === 0 ? '' : `; not yet heard by ${notHeardBy.join(', ')}`
  return `${table(head, rows)}\nsale ${saleId}: ${done}; ${rule}; version ${versionText(version)}${late}`
}
