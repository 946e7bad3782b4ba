import { resolve } from 'node:path'
import { addNode, startNode } from '../supervise/cluster.ts'
import type { NodeRecord } from '../supervise/cluster-file.ts'
import { CliError, EXIT, type CommandResult, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { packageRoot } from './package-root.ts'

const WEIGHT_MAX = 1000

export const registerNode: RegisterCommand = (cli) => {
  const node = group(cli.program, 'node', 'steer the nodes of this machine')
  node
    .command('add')
    .option('--weight <w>', 'its share of traffic and quota', '1')
    .description('start one more node; it joins the fleet and nginx by itself')
    .action(
      cli.action(async (common, options: { weight: string }) =>
        told('added', addNode(packageRoot(), resolve(common.dir), parseWeight(options.weight))),
      ),
    )
  node
    .command('start')
    .argument('<id>')
    .description('start a node that died')
    .action(
      cli.action(async (common, _options, id: string) =>
        told('started', startNode(packageRoot(), resolve(common.dir), id)),
      ),
    )
}

async function told(done: string, work: Promise<NodeRecord>): Promise<CommandResult> {
  const { id, url, adminUrl, weight, process } = await work
  const json = { id, url, adminUrl, pid: process?.pid ?? null, weight }
  return { json, text: `node ${id} ${done}: ${url}, weight ${weight}` }
}

function parseWeight(text: string): number {
  const weight = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (weight >= 1 && weight <= WEIGHT_MAX) return weight
  throw new CliError(EXIT.usage, 'usage', `--weight ${text}: a whole number from 1 to ${WEIGHT_MAX} is expected`)
}
