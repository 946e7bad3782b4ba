/** Who keeps count when a server is killed in mid-sale, and when tickets come back? Counted by the buyers' answers. */
import { Interrupted } from '../cluster/processes.ts'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { tokenSigner } from '../../http/sign-token.ts'
import { BASELINES } from '../baselines/all.ts'
import type { DefectCount, DefectRun } from '../report/document.ts'
import { sendCrowd } from './crowd.ts'
import { startBaseline, startFarebox, type System, type SystemSettings } from './system.ts'

const STOCK = 400
const BUYERS = 3 * STOCK
const COME_BACK = 40
const CONCURRENCY = 64
/** Fewer than the requests, as the original's 12,000 were fewer than a rush's. */
const CONNECTIONS_MAX = 150
const GIVE_UP_AFTER_MS = 12_000
const COME_BACK_WITHIN_MS = 6000
/** What came back is known everywhere by then. */
const KNOWN_AFTER_MS = 1500
const TTL_MS = 3_600_000

interface Entry {
  readonly name: string
  readonly about: string
  readonly knownDefect: string | null
  start(settings: SystemSettings): Promise<System>
}

const ENTRIES: readonly Entry[] = [
  {
    name: 'Farebox',
    about: 'as it is',
    knownDefect: null,
    start: (settings) => startFarebox({}, settings),
  },
  {
    name: 'Farebox, batch.maxItems 1',
    about: 'one script call per purchase',
    knownDefect: null,
    start: (settings) => startFarebox({ BATCH_MAX_ITEMS: '1', BATCH_MAX_IN_FLIGHT: '64' }, settings),
  },
  ...Object.entries(BASELINES).map(([key, { title, about, knownDefect }]) => ({
    name: title,
    about,
    knownDefect,
    start: (settings: SystemSettings) => startBaseline(key, settings),
  })),
]

export async function runDefects(
  say: (line: string) => void,
  wanted = ENTRIES.map(({ name }) => name),
): Promise<DefectRun> {
  const startedAtMs = Date.now()
  const counts: DefectCount[] = []
  const entries = ENTRIES.filter(({ name }) => wanted.includes(name))
  for (const entry of entries) {
    try {
      const count = await countOne(entry)
      counts.push(count)
      const { oversold, stranded, notSoldAgain, unanswered } = count
      say(
        `  ${entry.name}: oversold ${oversold}, stranded ${stranded}, not sold again ${notSoldAgain}, unanswered ${unanswered}`,
      )
    } catch (error) {
      if (error instanceof Interrupted) throw error
      say(`  ${entry.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return {
    kind: 'defects',
    step: 'defects',
    id: 'defects',
    title: 'A kill in mid-sale, and tickets that come back',
    about:
      'A defect that is known of a baseline is shown; one that is not known fails this run. Which of them shows, and how strongly, is partly chance: it depends on what was under way when the server died.',
    startedAtMs,
    endedAtMs: Date.now(),
    settings: {
      stock: STOCK,
      buyers: BUYERS,
      servers: 2,
      comeBack: COME_BACK,
      concurrency: CONCURRENCY,
      connectionsMax: CONNECTIONS_MAX,
    },
    error: null,
    contenders: entries.map(({ name, about, knownDefect }) => ({ name, about, knownDefect })),
    counts,
  }
}

async function countOne(entry: Entry): Promise<DefectCount> {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-defects-'))
  const secret = randomBytes(32).toString('hex')
  const settings = {
    directory,
    secret,
    fsync: 'always',
    stock: STOCK,
    servers: 2,
    connectionsMax: CONNECTIONS_MAX,
  } as const
  const system = await entry.start(settings)
  try {
    const urls = [...system.urls]
    const sign = tokenSigner(secret, { issuer: null, audience: null })
    const people = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, n) => `${prefix}-${String(n).padStart(10, '0')}`).map((buyer) => ({
        buyer,
        token: sign(buyer, Date.now() + TTL_MS),
      }))
    const kills: Promise<void>[] = []
    const first = await sendCrowd({
      people: people('first', BUYERS),
      urls: () => urls,
      concurrency: CONCURRENCY,
      giveUpAfterMs: GIVE_UP_AFTER_MS,
      onTold(told) {
        if (kills.length > 0 || told < STOCK / 2) return
        kills.push(system.kill(0))
        urls.splice(0, 1)
      },
    })
    await Promise.all(kills)
    await system.giveBack(COME_BACK)
    await pause(KNOWN_AFTER_MS)
    const again = await sendCrowd({
      people: people('second', COME_BACK * 2),
      urls: () => urls,
      concurrency: COME_BACK / 4,
      giveUpAfterMs: COME_BACK_WITHIN_MS,
    })
    return {
      contender: entry.name,
      stock: STOCK,
      told: first.told,
      oversold: Math.max(0, first.told - STOCK) + Math.max(0, again.told - COME_BACK),
      stranded: Math.max(0, STOCK - first.told),
      notSoldAgain: Math.max(0, COME_BACK - again.told),
      failed: first.failed,
      unanswered: first.unanswered + again.unanswered,
    }
  } finally {
    await system.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
