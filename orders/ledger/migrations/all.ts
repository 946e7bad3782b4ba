/** Every migration, in order. A new one gets a file of its own and the next number; none is ever changed. */
import type { Migration } from '../migrate.ts'
import { salesAndOrders } from './0001-sales-and-orders.ts'
import { paymentsAndTickets } from './0002-payments-and-tickets.ts'
import { operatorsActs } from './0003-operators-acts.ts'
import { turnsOfActs } from './0004-turns-of-acts.ts'
import { turnsOfMarks } from './0005-turns-of-marks.ts'

export const MIGRATIONS: readonly Migration[] = [
  salesAndOrders,
  paymentsAndTickets,
  operatorsActs,
  turnsOfActs,
  turnsOfMarks,
]
