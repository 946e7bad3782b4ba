/** `down`: ends the cluster of a directory, also one whose supervisor was killed. */
import { rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { stopCluster } from '../supervise/cluster.ts'
import { readCluster } from '../supervise/cluster-file.ts'
import { cliError } from './cluster-failure.ts'
import { confirmAtTerminal } from './confirm.ts'
import type { Cli, CommandResult, CommonOptions } from './frame.ts'

interface DownOptions {
  readonly yes?: boolean
  readonly purge?: boolean
}

export function registerDown(cli: Cli): void {
  cli.program
    .command('down')
    .description('stop the cluster of this directory; its data stays')
    .option('--purge', 'remove the directory, with all sales and orders')
    .option('--yes', 'do not ask')
    .action(cli.action((common: CommonOptions, options: DownOptions) => down(resolve(common.dir), options)))
}

async function down(dir: string, { purge = false, yes }: DownOptions): Promise<CommandResult> {
  if (purge) await confirmAtTerminal(`Stop the cluster and remove ${dir}, with all its sales and orders?`, yes)
  try {
    // Only a directory that an `up` made is ever removed.
    const ours = readCluster(dir) !== null
    const { stopped } = await stopCluster(dir)
    if (purge && ours) rmSync(dir, { recursive: true, force: true })
    const what = stopped.length === 0 ? `nothing runs in ${dir}` : `stopped ${stopped.join(', ')}`
    const purged = purge && ours ? `; removed ${dir}` : ''
    return { json: { dir, stopped, purged: purge && ours }, text: what + purged }
  } catch (error) {
    throw cliError(error)
  }
}
