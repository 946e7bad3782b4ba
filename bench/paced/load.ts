/**
 * Ready purchases at a fixed rate, whatever becomes of those before: `load.js URL FILE RECORD_BYTES FIRST COUNT RATE
 * CONNECTIONS`. A purchase whose turn comes while every connection waits for an answer waits as well, and its time
 * counts from its turn on: a server that stalls is not spared the buyers who would have come meanwhile. Prints what
 * `run.ts` reads.
 */
import { openSync, readSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { percentile } from '../report/percentile.ts'

const TICK_MS = 1
const LAST_ANSWER_WITHIN_MS = 10_000
const HEAD_END = '\r\n\r\n'

const [url = '', path = '', ...numbers] = process.argv.slice(2)
const [recordBytes = 0, first = 0, count = 0, rate = 0, connections = 0] = numbers.map(Number)
const { hostname, port } = new URL(url)
const records = Buffer.alloc(recordBytes * count)
const read = readSync(openSync(path, 'r'), records, 0, records.length, recordBytes * first)
if (read !== records.length) throw new Error('the file of requests is too short')

const statuses: Record<string, number> = {}
const tookMs: number[] = []
const lateMs: number[] = []
let failed = 0

/** One request at a time. */
class Connection {
  readonly #socket: Socket
  #heard = ''
  #dueMs: number | null = null

  constructor(socket: Socket) {
    this.#socket = socket.setNoDelay(true).setEncoding('latin1')
    socket.on('data', (text: string) => this.#hear(text))
    socket.on('error', () => {})
    socket.on('close', () => this.#end())
  }

  send(record: Buffer, dueMs: number): void {
    this.#dueMs = dueMs
    lateMs.push(performance.now() - dueMs)
    this.#socket.write(record)
  }

  close(): void {
    this.#socket.destroy()
  }

  #hear(text: string): void {
    this.#heard += text
    const headEnd = this.#heard.indexOf(HEAD_END)
    if (headEnd === -1 || this.#dueMs === null) return
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(this.#heard.slice(0, headEnd))?.[1] ?? 0)
    if (this.#heard.length < headEnd + HEAD_END.length + length) return
    const status = this.#heard.slice(9, 12)
    statuses[status] = (statuses[status] ?? 0) + 1
    tookMs.push(performance.now() - this.#dueMs)
    this.#heard = ''
    this.#dueMs = null
    idle.push(this)
  }

  /** An answer that never came is a failure; a connection that waited is replaced when it is needed. */
  #end(): void {
    if (this.#dueMs !== null) failed += 1
    this.#dueMs = null
    const at = idle.indexOf(this)
    if (at !== -1) idle.splice(at, 1)
    if (sent < count) void open()
  }
}

/** The one that waited longest is first, so that none waits until the server closes it. */
const idle: Connection[] = []
let sent = 0

function open(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.removeListener('error', reject)
      idle.push(new Connection(socket))
      resolve()
    })
  })
}

await Promise.all(Array.from({ length: connections }, open))
const all = [...idle]
const startMs = performance.now()
const isOver = (): boolean =>
  (sent >= count && tookMs.length + failed >= count) ||
  performance.now() - startMs > (count / rate) * 1000 + LAST_ANSWER_WITHIN_MS
await new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    const due = Math.min(count, Math.floor(((performance.now() - startMs) * rate) / 1000))
    while (sent < due) {
      const connection = idle.shift()
      if (connection === undefined) break
      connection.send(records.subarray(sent * recordBytes, (sent + 1) * recordBytes), startMs + (sent * 1000) / rate)
      sent += 1
    }
    if (!isOver()) return
    clearInterval(timer)
    resolve()
  }, TICK_MS)
})
for (const connection of all) connection.close()
const sorted = tookMs.toSorted((a, b) => a - b)
const summary = {
  sent,
  unanswered: count - tookMs.length,
  statuses,
  seconds: (performance.now() - startMs) / 1000,
  p50Ms: percentile(sorted, 0.5),
  p99Ms: percentile(sorted, 0.99),
  maxMs: sorted.at(-1) ?? Number.NaN,
  lateP99Ms: percentile(
    lateMs.toSorted((a, b) => a - b),
    0.99,
  ),
}
process.stdout.write(`${JSON.stringify(summary)}\n`)
