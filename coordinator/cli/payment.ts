import { isoTime } from '../../http/iso-time.ts'
import { paymentAnomalies, type PaymentAnomaly } from '../operations/money.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { table } from './table.ts'

export const registerPayment: RegisterCommand = (cli) => {
  group(cli.program, 'payment', 'payments')
    .command('anomalies')
    .description('webhooks that were not believed and refunds that do not go through, newest first')
    .action(
      cli.action(async (common) => {
        const call = { method: 'GET', path: '/admin/payments/anomalies' } as const
        const { items } = await ask<{ items: readonly PaymentAnomaly[] }>(common, call, paymentAnomalies)
        return { json: { items }, text: textOf(items) }
      }),
    )
}

function textOf(items: readonly PaymentAnomaly[]): string {
  if (items.length === 0) return 'no anomalies'
  const rows = items.map((one) => [isoTime(one.lastMs), one.kind, String(one.times), one.reference ?? '', one.detail])
  return table(['last seen', 'what', 'times', 'payment', 'detail'], rows)
}
