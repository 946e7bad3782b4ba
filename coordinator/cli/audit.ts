import { audit, type AuditReport } from '../operations/audit.ts'
import { ask } from './cluster.ts'
import { EXIT, type RegisterCommand } from './frame.ts'
import { salePath } from './sale-path.ts'
import { table } from './table.ts'

export const registerAudit: RegisterCommand = (cli) => {
  cli.program
    .command('audit')
    .argument('<id>')
    .description('recount a sale from its order records; exit 1 when anything does not agree')
    .action(
      cli.action(async (common, _options, id: string) => {
        const call = { method: 'GET', path: salePath(id, 'audit') } as const
        const report = await ask<AuditReport>(common, call, (world) => audit(world, id))
        return { json: report, text: textOf(report), exitCode: report.ok ? EXIT.done : EXIT.refused }
      }),
    )
}

function textOf({ at, fares, problems, ok, buyersOverLimit }: AuditReport): string {
  const rows = fares.map((fare) => [
    fare.id,
    fare.stock,
    fare.remaining,
    fare.held,
    fare.paid,
    fare.countedHeld,
    fare.countedPaid,
    fare.ledgerHeld,
    fare.ledgerPaid,
    fare.ledgerPending,
    fare.diff,
  ])
  const head = [
    'FARE',
    'STOCK',
    'REMAINING',
    'HELD',
    'PAID',
    'COUNTED HELD',
    'COUNTED PAID',
    'LEDGER HELD',
    'LEDGER PAID',
    'PENDING',
    'DIFF',
  ]
  return [
    table(head, rows),
    `at ${at}; buyers over the limit: ${buyersOverLimit}`,
    ...problems.map(({ rule, witness }) => `${rule}: ${witness}`),
    ok ? 'ok: everything agrees' : `NOT ok: ${problems.length} problems`,
  ].join('\n')
}
