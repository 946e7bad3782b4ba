/**
 * The database embedded: PostgreSQL as WebAssembly, in this process, in a directory that no other process may open.
 *
 * It answers one at a time and blocks the event loop while it works. An instance that failed in a way that may have
 * spoiled it (a write that the disk refused, a panic, a trap) is dropped, and the next call opens the directory anew,
 * which replays the log like any PostgreSQL after a crash: what was committed is there.
 */
import { existsSync } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite, type Transaction as PgliteTransaction } from '@electric-sql/pglite'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { type Claim, claimDirectory } from './claim-directory.ts'
import { type Database, DatabaseError, type Query, type SqlValue, type Transaction } from './database.ts'
import { asDatabaseError, isSessionOver, sqlStateOf } from './sql-error.ts'
import { sqlParameters } from './sql-parameters.ts'
import { type Amend, SyncedFiles } from './synced-files.ts'
import type { Template } from './template.ts'

/** -F turns fsync off. Of the ways to sync the log only `fsync` reaches {@link SyncedFiles}. */
const START_PARAMETERS = [...PGlite.defaultStartParams.filter((one) => one !== '-F'), '-c', 'wal_sync_method=fsync']
/** Insufficient resources (53), trouble of the system (58), internal errors (XX). */
const SPOILING_CLASSES: readonly string[] = ['53', '58', 'XX']
/** Opening blocks for about half a second; on a disk that stays full every call would. */
const REOPEN_PAUSE_MS = 1000

interface Instance {
  readonly pg: PGlite
  readonly files: SyncedFiles
}

export interface PgliteOptions {
  readonly clock?: Clock
  /** See {@link SyncedFiles}. */
  readonly amend?: Amend
  /** What a new database is copied from; made anew without it. */
  readonly template?: Template
}

/** Rejects with `DirectoryInUse` while another process has it, else with `DatabaseError`. */
export async function openPglite(directory: string, options: PgliteOptions = {}): Promise<Database> {
  const claim = await claimDirectory(directory)
  const database = new Pglite(directory, options, claim)
  try {
    await database.query('select 1')
  } catch (error) {
    await claim.release()
    throw error
  }
  return database
}

class Pglite implements Database {
  readonly kind = 'pglite'
  readonly #directory: string
  readonly #clock: Clock
  readonly #amend: PgliteOptions['amend']
  readonly #template: Template
  readonly #claim: Claim
  /** Opened by the first call; null before, after it broke, and after close. */
  #instance: Promise<Instance> | null = null
  #brokeAtMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(directory: string, options: PgliteOptions, claim: Claim) {
    this.#directory = directory
    this.#clock = options.clock ?? systemClock
    this.#amend = options.amend
    this.#template = options.template ?? (async () => false)
    this.#claim = claim
  }

  async query<Row extends object>(sql: string, parameters: readonly SqlValue[] = []): Promise<readonly Row[]> {
    return this.#withInstance(async (pg) => {
      try {
        return (await pg.query<Row>(sql, sqlParameters(parameters))).rows
      } catch (error) {
        throw asDatabaseError(error)
      }
    })
  }

  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#withInstance(async (pg) => {
      let workError: unknown
      try {
        return await pg.transaction(async (transaction) => {
          try {
            return await work(transactionOver(transaction))
          } catch (error) {
            workError = error
            throw error
          }
        })
      } catch (error) {
        // What the work threw passes as it is; what began, committed or took back the transaction is the database's.
        throw error === workError ? error : asDatabaseError(error)
      }
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const instance = this.#instance
    this.#instance = null
    await instance?.then(
      async ({ pg }) => pg.close(),
      () => {},
    )
    await this.#claim.release()
  }

  async #withInstance<T>(use: (pg: PGlite) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DatabaseError('away', 'the ledger is closed')
    const isTooSoon = this.#clock.monotonicMs() - this.#brokeAtMs < REOPEN_PAUSE_MS
    if (this.#instance === null && isTooSoon) throw new DatabaseError('away', 'the ledger broke a moment ago')
    const opening = (this.#instance ??= this.#open())
    try {
      return await use((await opening).pg)
    } catch (error) {
      if (isSpoiling(error)) this.#drop(opening)
      throw error
    }
  }

  async #open(): Promise<Instance> {
    const data = join(this.#directory, 'data')
    if (!existsSync(data)) await makeData(data, this.#template)
    return openInstance(data, this.#amend)
  }

  /** Others may have seen the same instance break: only the first takes it away. */
  #drop(broken: Promise<Instance>): void {
    if (this.#instance !== broken) return
    this.#instance = null
    this.#brokeAtMs = Math.max(this.#brokeAtMs, this.#clock.monotonicMs())
    broken.then(
      ({ files }) => files.abandon(),
      () => {},
    )
  }
}

async function openInstance(data: string, amend: PgliteOptions['amend']): Promise<Instance> {
  const files = new SyncedFiles(data, amend)
  try {
    return { pg: await PGlite.create({ fs: files, startParams: START_PARAMETERS }), files }
  } catch (error) {
    files.abandon()
    throw asDatabaseError(error)
  }
}

/**
 * Making a database takes seconds, and one that was killed half way would look whole. So it is made aside, closed, and
 * moved into place.
 */
async function makeData(data: string, template: Template): Promise<void> {
  const draft = `${data}.draft`
  await emptied(draft)
  if (!(await template(draft))) {
    await emptied(draft)
    const pg = await PGlite.create({ fs: new SyncedFiles(draft), startParams: START_PARAMETERS })
    await pg.close()
  }
  await rename(draft, data)
  const parent = await open(join(data, '..'), 'r')
  await parent.sync()
  await parent.close()
}

async function emptied(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { mode: 0o700 })
}

function transactionOver(transaction: PgliteTransaction): Query {
  return {
    async query<Row extends object>(sql: string, parameters: readonly SqlValue[] = []) {
      try {
        return (await transaction.query<Row>(sql, sqlParameters(parameters))).rows
      } catch (error) {
        throw asDatabaseError(error)
      }
    },
  }
}

/** Whether the instance may be spoiled: anything that is not an ordinary answer of a server that goes on. */
function isSpoiling(error: unknown): boolean {
  if (!(error instanceof DatabaseError)) return false
  const sqlState = sqlStateOf(error.cause)
  return sqlState === null || isSessionOver(error.cause) || SPOILING_CLASSES.includes(sqlState.slice(0, 2))
}
