/**
 * The database as a server: a pool of connections, each used by one statement or transaction at a time.
 *
 * Nothing is ever sent twice: when a connection dies, what was under way on it is `away`, and whether it was kept only
 * the database knows. A connection on which anything but an ordinary refusal happened is thrown away.
 */
import pg from 'pg'
import type { Logger } from '../../runtime/logger.ts'
import { type Database, DatabaseError, type Query, type SqlValue, type Transaction } from './database.ts'
import { asDatabaseError, isRefused } from './sql-error.ts'
import { sqlParameters } from './sql-parameters.ts'

export interface PostgresOptions {
  /** Connections at most. */
  readonly connectionsMax?: number
  /** For a connection, a new one or one of the pool. */
  readonly connectTimeoutMs?: number
  /** For one statement, waiting for locks included; the server ends it. */
  readonly statementTimeoutMs?: number
  readonly logger?: Pick<Logger, 'warn'>
}

const DEFAULTS = { connectionsMax: 8, connectTimeoutMs: 5000, statementTimeoutMs: 10_000 }
/** The server ends a statement by itself; a server that does not even answer is given this much longer. */
const ANSWER_SLACK_MS = 2000
const IDLE_CONNECTION_MS = 60_000
/** A process that stopped between two statements must not keep the others from a sale for ever. */
const IDLE_TRANSACTION_MS = 15_000

/** Rejects with `DatabaseError` when the server cannot be reached. */
export async function openPostgres(url: string, options: PostgresOptions = {}): Promise<Database> {
  const database = new Postgres(url, options)
  try {
    await database.query('select 1')
  } catch (error) {
    await database.close()
    throw error
  }
  return database
}

class Postgres implements Database {
  readonly kind = 'postgres'
  readonly #pool: pg.Pool
  #isClosed = false

  constructor(url: string, options: PostgresOptions) {
    const { connectionsMax, connectTimeoutMs, statementTimeoutMs } = { ...DEFAULTS, ...options }
    this.#pool = new pg.Pool({
      connectionString: url,
      application_name: 'farebox',
      max: connectionsMax,
      connectionTimeoutMillis: connectTimeoutMs,
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + ANSWER_SLACK_MS,
      idleTimeoutMillis: IDLE_CONNECTION_MS,
      idle_in_transaction_session_timeout: IDLE_TRANSACTION_MS,
      keepAlive: true,
      types: { getTypeParser: typeParser },
      // oxlint-disable-next-line typescript/no-misused-promises -- pg waits for it; its types do not say so
      onConnect: prepareSession,
    })
    // An error on a connection reaches whoever waits for its answer; nobody else needs to end for it.
    this.#pool.on('error', (error) => options.logger?.warn({ err: error }, 'a connection to the ledger was lost'))
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  async query<Row extends object>(sql: string, parameters: readonly SqlValue[] = []): Promise<readonly Row[]> {
    return this.#withClient(async (client) => run(client, sql, parameters))
  }

  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#withClient(async (client) => {
      await run(client, 'begin isolation level read committed read write')
      let result: T
      try {
        result = await work(transactionOver(client))
      } catch (error) {
        await takeBack(client, error)
        throw error
      }
      await commit(client)
      return result
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#pool.end()
  }

  async #withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#connect()
    let isBroken = true
    try {
      const result = await use(client)
      isBroken = false
      return result
    } catch (error) {
      isBroken = error instanceof DatabaseError && error.outcome === 'away'
      throw error
    } finally {
      client.release(isBroken)
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
    } catch (error) {
      throw asDatabaseError(error)
    }
  }
}

/** Undoes the transaction. A connection that cannot even do that is not used again. */
async function takeBack(client: pg.PoolClient, error: unknown): Promise<void> {
  if (error instanceof DatabaseError && !isRefused(error)) return
  await run(client, 'rollback')
}

/** A transaction that had failed is rolled back by its commit, without an error. */
async function commit(client: pg.PoolClient): Promise<void> {
  const { command } = await send(client, 'commit')
  if (command !== 'COMMIT') throw new DatabaseError('away', 'the transaction had failed and was rolled back')
}

function transactionOver(client: pg.PoolClient): Query {
  return { query: async (sql, parameters) => run(client, sql, parameters) }
}

async function run<Row extends object>(
  client: pg.PoolClient,
  sql: string,
  parameters: readonly SqlValue[] = [],
): Promise<readonly Row[]> {
  return (await send(client, sql, parameters)).rows as Row[]
}

async function send(
  client: pg.PoolClient,
  sql: string,
  parameters: readonly SqlValue[] = [],
): Promise<{ readonly command: string; readonly rows: object[] }> {
  try {
    return await client.query<object>(sql, sqlParameters(parameters))
  } catch (error) {
    throw asDatabaseError(error)
  }
}

/** What a role or the server may have set otherwise: an answer means that the commit is on disk. */
async function prepareSession(client: pg.ClientBase): Promise<void> {
  await client.query(
    `select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'`,
  )
}

const typeParser: pg.CustomTypesConfig['getTypeParser'] = (type, format) =>
  type === pg.types.builtins.INT8 ? Number : (pg.types.getTypeParser(type, format) as (value: string) => unknown)
