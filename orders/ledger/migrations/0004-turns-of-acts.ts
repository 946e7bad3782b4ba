/** Operators' acts on a sale take turns: the number of the last one that began. */
import type { Migration } from '../migrate.ts'

export const turnsOfActs: Migration = {
  number: 4,
  name: 'turns of acts',
  statements: ['alter table sales add column turn bigint not null default 0'],
}
