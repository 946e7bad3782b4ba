/**
 * A ledger with a clock that is moved by hand and a switch that makes a row unacceptable, in memory or on a database.
 * On a database both are SQL objects put in by the test; the ledger itself is the one that is shipped.
 */
import { ActLedger, type Acts } from '../act-ledger.ts'
import type { Database } from '../database.ts'
import type { Ledger } from '../ledger.ts'
import { MemoryActs } from '../memory-acts.ts'
import { MemoryLedger } from '../memory-ledger.ts'
import { migrate } from '../migrate.ts'
import { MIGRATIONS } from '../migrations/all.ts'
import { SqlLedger } from '../sql-ledger.ts'

export interface World {
  readonly ledger: Ledger
  /** Of operators, on the same sales. */
  readonly acts: Acts
  setClock(nowMs: number): Promise<void>
  /** From now on rows of buyers whose name ends in `!` are refused, or no longer. */
  setPoison(on: boolean): Promise<void>
}

export function memoryWorld(): World {
  let nowMs = 0
  let isPoisoned = false
  const ledger = new MemoryLedger({
    nowMs: () => nowMs,
    refuse: ({ buyer }) => (isPoisoned && buyer.endsWith('!') ? 'poison' : null),
  })
  return {
    ledger,
    acts: new MemoryActs(ledger),
    async setClock(to) {
      nowMs = to
    },
    async setPoison(on) {
      isPoisoned = on
    },
  }
}

/** Migrates the database, and puts in what the test moves. */
export async function sqlWorld(database: Database): Promise<World> {
  await migrate(database, MIGRATIONS)
  const statements = [
    'create table test_world (now_ms bigint not null, is_poisoned boolean not null)',
    'insert into test_world values (0, false)',
    `create or replace function ledger_now_ms() returns bigint language sql volatile as
      $$ select now_ms from test_world $$`,
    `create function refuse_poison() returns trigger language plpgsql as $$
      begin
        if new.buyer like '%!' and (select is_poisoned from test_world) then
          raise exception 'poison' using errcode = 'check_violation', constraint = 'test_poison';
        end if;
        return new;
      end
    $$`,
    'create trigger refuse_poison before insert on orders for each row execute function refuse_poison()',
  ]
  for (const statement of statements) await database.query(statement)
  return {
    ledger: new SqlLedger(database),
    acts: new ActLedger(database),
    async setClock(to) {
      await database.query('update test_world set now_ms = $1', [to])
    },
    async setPoison(on) {
      await database.query('update test_world set is_poisoned = $1', [on])
    },
  }
}
