/**
 * Statements to one PGlite instance, each one message there and one back.
 *
 * PGlite's own `query` sends parse, describe, bind, describe, execute and sync one by one and waits between them, which
 * costs several times what the statement does. Here they are one message, and a statement that comes again is kept
 * parsed. It is planned anew each time: nobody gathers statistics in an embedded database, and a plan made for an empty
 * table would stay (`force_custom_plan` among the start parameters of `pglite.ts`).
 *
 * All of it is synchronous: nothing else happens on the instance between message and answer.
 */
import { type messages, type PGlite, protocol } from '@electric-sql/pglite'
import type { SqlValue } from './database.ts'
import { isSessionOver, sqlStateOf } from './sql-error.ts'
import { sqlParameters } from './sql-parameters.ts'

/** Statements kept parsed; more are of texts that are made up as they go, and all are forgotten. */
const KEPT_MAX = 300

/** Insufficient resources (53), trouble of the system (58), internal errors (XX). */
const SPOILING_CLASSES: readonly string[] = ['53', '58', 'XX']
/** Writes a record that means nothing, and with it flushes all of the log before. */
const FLUSH = `select pg_logical_emit_message(false, 'farebox', '', true)`
/** What locks rows writes too, but nothing that has to last. */
const READS = /^\s*select\b/i

interface Kept {
  readonly name: string
  /** Of its rows; null for a statement that gives none. */
  readonly fields: readonly messages.Field[] | null
}

interface Answer {
  readonly fields: readonly messages.Field[] | null
  readonly rows: readonly (readonly (string | null)[])[]
  /** What the last statement calls itself, such as `COMMIT`. */
  readonly command: string
}

const { serialize } = protocol

export class PgliteSession {
  readonly #pg: PGlite
  readonly #kept = new Map<string, Kept>()
  /** Texts that ran once: migrations and the like never come again. */
  readonly #seen = new Set<string>()
  #names = 0
  #isOver = false
  #isUnflushed = false

  constructor(pg: PGlite) {
    this.#pg = pg
  }

  /** Something was written since the last flush. */
  get isUnflushed(): boolean {
    return this.#isUnflushed
  }

  /** Throws, and spoils the instance, when the disk does not take it. */
  flush(): void {
    this.run(FLUSH, [])
    this.#isUnflushed = false
  }

  /** From now on nothing reaches the instance. */
  end(): void {
    this.#isOver = true
  }

  /** Throws what the server said, or whatever broke the instance. */
  run<Row extends object>(sql: string, parameters: readonly SqlValue[]): Row[] {
    if (!READS.test(sql)) this.#isUnflushed = true
    const values = sqlParameters(parameters).map((value) => (value === null ? null : String(value)))
    const kept = this.#kept.get(sql)
    if (kept === undefined && !this.#seen.has(sql)) {
      remember(this.#seen, sql)
      return this.#runOnce<Row>(sql, values)
    }
    const { name, fields } = kept ?? this.#keep(sql)
    try {
      const answer = this.#ask([serialize.bind({ statement: name, values }), serialize.execute({})])
      return this.#rowsOf<Row>(fields, answer)
    } catch (error) {
      // Its tables may have changed since it was parsed.
      this.#forget(sql, name)
      throw error
    }
  }

  /** `begin`, `commit` or `rollback`; returns what the server calls what it did. */
  command(sql: string): string {
    return this.#ask([serialize.query(sql)], false).command
  }

  #runOnce<Row extends object>(sql: string, values: (string | null)[]): Row[] {
    const answer = this.#ask([
      serialize.parse({ text: sql }),
      serialize.bind({ values }),
      serialize.describe({ type: 'P' }),
      serialize.execute({}),
    ])
    return this.#rowsOf<Row>(answer.fields, answer)
  }

  #keep(sql: string): Kept {
    if (this.#kept.size >= KEPT_MAX) for (const [text, { name }] of this.#kept) this.#forget(text, name)
    this.#names += 1
    const name = `s${this.#names}`
    const { fields } = this.#ask([serialize.parse({ name, text: sql }), serialize.describe({ type: 'S', name })])
    const kept = { name, fields }
    this.#kept.set(sql, kept)
    return kept
  }

  #forget(sql: string, name: string): void {
    this.#kept.delete(sql)
    if (!this.#isOver) this.#ask([serialize.close({ type: 'S', name })])
  }

  #rowsOf<Row extends object>(fields: readonly messages.Field[] | null, { rows }: Answer): Row[] {
    if (fields === null) return []
    const columns = fields.map(({ name, dataTypeID }) => ({ name, parse: this.#pg.parsers[dataTypeID], dataTypeID }))
    return rows.map((row) => {
      const read: Record<string, unknown> = {}
      for (const [index, { name, parse, dataTypeID }] of columns.entries()) {
        const text = row[index] ?? null
        read[name] = text === null || parse === undefined ? text : parse(text, dataTypeID)
      }
      return read as Row
    })
  }

  #ask(parts: readonly Uint8Array[], withSync = true): Answer {
    if (this.#isOver) throw new Error('the instance is no longer used')
    const message = Buffer.concat(withSync ? [...parts, serialize.sync()] : parts)
    try {
      const answer = readAnswer(this.#pg.execProtocolRawSync(message))
      if (answer.error !== null) throw answer.error
      if (!answer.isReady) throw new Error('the instance gave no whole answer')
      return answer
    } catch (error) {
      if (mayHaveSpoilt(error)) this.#isOver = true
      throw error
    }
  }
}

/** Whether the instance may be spoiled: anything that is not an ordinary answer of a server that goes on. */
export function mayHaveSpoilt(cause: unknown): boolean {
  const sqlState = sqlStateOf(cause)
  return sqlState === null || isSessionOver(cause) || SPOILING_CLASSES.includes(sqlState.slice(0, 2))
}

function readAnswer(bytes: Uint8Array): Answer & { readonly error: Error | null; readonly isReady: boolean } {
  const rows: (string | null)[][] = []
  let fields: readonly messages.Field[] | null = null
  let command = ''
  let error: Error | null = null
  let isReady = false
  new protocol.Parser().parse(bytes, (message) => {
    if (message instanceof Error) error ??= message
    else if (message.name === 'dataRow') rows.push((message as messages.DataRowMessage).fields)
    else if (message.name === 'rowDescription') ({ fields } = message as messages.RowDescriptionMessage)
    else if (message.name === 'commandComplete') command = (message as messages.CommandCompleteMessage).text
    else if (message.name === 'readyForQuery') isReady = true
  })
  return { rows, fields, command, error, isReady }
}

function remember(texts: Set<string>, text: string): void {
  if (texts.size >= KEPT_MAX) texts.clear()
  texts.add(text)
}
