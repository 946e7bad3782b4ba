import { askStream } from './cluster.ts'
import { CliError, EXIT, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { salePath } from './sale-path.ts'

export const registerSaleExport: RegisterCommand = (cli) => {
  group(cli.program, 'sale', 'make, look at and steer sales')
    .command('export')
    .argument('<id>')
    .option('--format <format>', 'csv or json (default: csv, with --json: json)')
    .description('all orders, while selling goes on')
    .action(
      cli.action(async (common, options: { format?: string }, id: string) => {
        const format = options.format ?? (common.json ? 'json' : 'csv')
        if (format !== 'csv' && format !== 'json') {
          throw new CliError(EXIT.usage, 'usage', `--format ${format}: csv or json is expected`)
        }
        if (common.json && format === 'csv') {
          throw new CliError(EXIT.usage, 'usage', '--json prints one JSON document: leave it out for --format csv')
        }
        const stream = await askStream(common, `${salePath(id, 'export')}?format=${format}`)
        return { json: null, text: '', stream }
      }),
    )
}
