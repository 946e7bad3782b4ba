/** `down`: ends the cluster of a directory, also one whose supervisor was killed. */
import { rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { listSales } from '../operations/sales.ts'
import type { SaleView } from '../operations/views.ts'
import { stopCluster } from '../supervise/cluster.ts'
import { aliveProcesses, readCluster } from '../supervise/cluster-file.ts'
import { cliError } from './cluster-failure.ts'
import { ask } from './cluster.ts'
import { confirm } from './confirm.ts'
import type { Cli, CommandResult, CommonOptions } from './frame.ts'

interface DownOptions {
  readonly yes?: boolean
  readonly purge?: boolean
}

export function registerDown(cli: Cli): void {
  cli.program
    .command('down')
    .description('stop the cluster of this directory; its data stays')
    .option('--purge', 'remove the directory, with all sales and orders; asks first')
    .option('--yes', 'do not ask')
    .action(
      cli.action((common: CommonOptions, options: DownOptions) =>
        down({ ...common, dir: resolve(common.dir) }, options),
      ),
    )
}

async function down(common: CommonOptions, { purge = false, yes }: DownOptions): Promise<CommandResult> {
  const { dir } = common
  // Only a directory that an `up` made is ever removed.
  const ours = readCluster(dir) !== null
  if (purge && ours) {
    const question = `Stop the cluster and remove ${dir}, with all its sales, orders and payments?`
    await confirm(question, yes, () => losses(common))
  }
  try {
    const { stopped } = await stopCluster(dir)
    if (purge && ours) rmSync(dir, { recursive: true, force: true })
    const what = stopped.length === 0 ? `nothing runs in ${dir}` : `stopped ${stopped.join(', ')}`
    const purged = purge && ours ? `; removed ${dir}` : ''
    return { json: { dir, stopped, purged: purge && ours }, text: what + purged }
  } catch (error) {
    throw cliError(error)
  }
}

/** What runs and which sales are there, as far as anybody answers. */
async function losses(common: CommonOptions): Promise<string[]> {
  const file = readCluster(common.dir)
  const names = file === null ? [] : aliveProcesses(file).map(({ name }) => name)
  if (names.length === 0) return ['nothing runs; what is stored stays unread']
  const call = { method: 'GET', path: '/admin/sales' } as const
  const sales = await ask<{ readonly items: readonly SaleView[] }>(common, call, listSales).catch(() => null)
  return [`runs: ${names.join(', ')}`, ...(sales?.items ?? []).map(saleLine)]
}

function saleLine({ id, state, fares }: SaleView): string {
  const sum = (counter: 'held' | 'paid'): number => fares.reduce((total, fare) => total + fare[counter], 0)
  return `sale ${id}: ${state}, ${sum('held')} tickets held, ${sum('paid')} paid`
}
