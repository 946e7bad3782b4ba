import { OPTION_PATHS } from '../../config/options.ts'
import { maskValue } from '../../config/load.ts'
import { loadDirConfig } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { table } from './table.ts'

export const registerConfig: RegisterCommand = (cli) => {
  group(cli.program, 'config', 'the configuration')
    .command('show')
    .description('the effective configuration and where each value comes from; secrets masked')
    .action(
      cli.action(async (common) => {
        const { config, sources, clusterHash } = loadDirConfig(common.dir, {})
        const items = OPTION_PATHS.map((path) => ({
          path,
          value: maskValue(path, valueAt(config, path)) ?? null,
          source: sources[path],
        }))
        const rows = items.map(({ path, value, source }) => [path, JSON.stringify(value), source])
        return { json: { items, clusterHash }, text: table(['OPTION', 'VALUE', 'FROM'], rows) }
      }),
    )
}

function valueAt(config: object, path: string): unknown {
  let value: unknown = config
  for (const step of path.split('.')) {
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[step] : undefined
  }
  return value
}
