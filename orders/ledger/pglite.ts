/**
 * The database embedded: PostgreSQL as WebAssembly, in this process, in a directory that no other process may open.
 *
 * It answers one at a time and blocks the event loop while it works. PostgreSQL commits without waiting for the disk, and
 * nobody is answered before the log is on it: see `grouped-turns.ts`. An instance that failed in a way that may have
 * spoiled it (a write that the disk refused, a panic, a trap) is dropped, and the next call opens the directory anew,
 * which replays the log like any PostgreSQL after a crash: what was committed is there.
 */
import { existsSync } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { type Claim, claimDirectory } from './claim-directory.ts'
import { type Database, DatabaseError, type SqlValue, type Transaction } from './database.ts'
import { GroupedTurns } from './grouped-turns.ts'
import { mayHaveSpoilt, PgliteSession } from './pglite-session.ts'
import { asDatabaseError } from './sql-error.ts'
import { type Amend, SyncedFiles } from './synced-files.ts'
import type { Template } from './template.ts'

/**
 * -F turns fsync off. Of the ways to sync the log only `fsync` reaches {@link SyncedFiles}. For the plans see
 * {@link PgliteSession}.
 */
const START_PARAMETERS = [
  ...PGlite.defaultStartParams.filter((one) => one !== '-F'),
  ...['wal_sync_method=fsync', 'plan_cache_mode=force_custom_plan', 'synchronous_commit=off'].flatMap((one) => [
    '-c',
    one,
  ]),
]
/** Opening blocks for about half a second; on a disk that stays full every call would. */
const REOPEN_PAUSE_MS = 1000

const WAITED =
  'work in a transaction waited for something outside of it, which on PGlite never comes or holds up everybody: ' +
  'see docs/decisions/0045-payments-judged-as-received.md'

interface Instance {
  readonly pg: PGlite
  readonly session: PgliteSession
  readonly files: SyncedFiles
  readonly turns: GroupedTurns
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
    return this.#withSession(async (session) => run<Row>(session, sql, parameters))
  }

  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#withSession(async (session) => {
      const transaction = new SessionTransaction(session)
      let result: T
      try {
        result = await withoutWaiting(() => work(transaction))
      } catch (error) {
        throw takenBack(transaction, error)
      }
      transaction.end('commit')
      return result
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const instance = this.#instance
    this.#instance = null
    await instance?.then(
      async (opened) => opened.turns.take(async () => closed(opened)),
      () => {},
    )
    await this.#claim.release()
  }

  async #withSession<T>(use: (session: PgliteSession) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DatabaseError('away', 'the ledger is closed')
    const isTooSoon = this.#clock.monotonicMs() - this.#brokeAtMs < REOPEN_PAUSE_MS
    if (this.#instance === null && isTooSoon) throw new DatabaseError('away', 'the ledger broke a moment ago')
    const opening = (this.#instance ??= this.#open())
    try {
      const { turns, session } = await opening
      return await turns.take(async () => use(session))
    } catch (error) {
      if (isSpoiling(error)) this.#drop(opening)
      throw error
    }
  }

  async #open(): Promise<Instance> {
    const data = join(this.#directory, 'data')
    if (!existsSync(data)) await makeData(data, this.#template)
    return openInstance(data, this.#amend, this.#clock)
  }

  /** Others may have seen the same instance break: only the first takes it away. */
  #drop(broken: Promise<Instance>): void {
    if (this.#instance !== broken) return
    this.#instance = null
    this.#brokeAtMs = Math.max(this.#brokeAtMs, this.#clock.monotonicMs())
    void abandon(broken)
  }
}

async function abandon(broken: Promise<Instance>): Promise<void> {
  try {
    const { session, files } = await broken
    session.end()
    files.abandon()
  } catch {
    // It never opened.
  }
}

async function openInstance(data: string, amend: PgliteOptions['amend'], clock: Clock): Promise<Instance> {
  const files = new SyncedFiles(data, amend)
  try {
    const pg = await PGlite.create({ fs: files, startParams: START_PARAMETERS })
    const session = new PgliteSession(pg)
    const flush = (): void => inWords(() => session.flush())
    const log = { isUnflushed: () => session.isUnflushed, flush }
    return { pg, session, files, turns: new GroupedTurns(log, () => clock.monotonicMs()) }
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

/** Those of the same group are answered afterwards. */
async function closed({ pg, session }: Instance): Promise<void> {
  try {
    if (session.isUnflushed) session.flush()
  } finally {
    await pg.close()
  }
}

/**
 * Statements of this transaction are answered before the event loop comes round. Whatever is not done by then waits for
 * something else: for another statement, which waits for its turn and would never come, or for something that holds up
 * everybody else.
 */
async function withoutWaiting<T>(work: () => Promise<T>): Promise<T> {
  let round: NodeJS.Immediate | undefined
  const comesRound = new Promise<never>((_resolve, reject) => {
    round = setImmediate(() => {
      reject(new Error(WAITED))
    })
  })
  try {
    return await Promise.race([work(), comesRound])
  } finally {
    clearImmediate(round)
  }
}

/** Begun by its first statement. */
class SessionTransaction implements Transaction {
  readonly #session: PgliteSession
  #state: 'new' | 'open' | 'ended' = 'new'

  constructor(session: PgliteSession) {
    this.#session = session
  }

  async query<Row extends object>(sql: string, parameters: readonly SqlValue[] = []): Promise<readonly Row[]> {
    if (this.#state === 'ended') throw new Error('the transaction has ended')
    if (this.#state === 'new') inWords(() => this.#session.command('begin'))
    this.#state = 'open'
    return run<Row>(this.#session, sql, parameters)
  }

  /** A transaction that had failed is rolled back by its commit, without an error. */
  end(how: 'commit' | 'rollback'): void {
    const wasOpen = this.#state === 'open'
    this.#state = 'ended'
    if (!wasOpen || inWords(() => this.#session.command(how)) === how.toUpperCase()) return
    throw new DatabaseError('away', 'the transaction had failed and was rolled back')
  }
}

/** What to throw once the work is undone: a transaction that cannot even be undone has lost its instance. */
function takenBack(transaction: SessionTransaction, error: unknown): unknown {
  try {
    transaction.end('rollback')
    return error
  } catch (broken) {
    return isSpoiling(error) ? error : broken
  }
}

function run<Row extends object>(session: PgliteSession, sql: string, parameters: readonly SqlValue[]): readonly Row[] {
  return inWords(() => session.run<Row>(sql, parameters))
}

/** What the instance throws, as a {@link DatabaseError}. */
function inWords<T>(ask: () => T): T {
  try {
    return ask()
  } catch (error) {
    throw asDatabaseError(error)
  }
}

function isSpoiling(error: unknown): boolean {
  return error instanceof DatabaseError && mayHaveSpoilt(error.cause)
}
