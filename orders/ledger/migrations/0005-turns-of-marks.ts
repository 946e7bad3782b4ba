/** In which turn it was written down that the store is still to be told; 0 for what was there before. */
import type { Migration } from '../migrate.ts'

export const turnsOfMarks: Migration = {
  number: 5,
  name: 'turns of marks',
  statements: ['alter table untold add column turn bigint not null default 0'],
}
