/** `events`: what happened, and who changed what. */
import { setTimeout as sleep } from 'node:timers/promises'
import { resolve } from 'node:path'
import { readJournal, type JournalEntry } from '../daemon/journal.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type Cli, type CommonOptions, type RegisterCommand } from './frame.ts'

interface EventsOptions {
  readonly follow?: boolean
  readonly changes?: boolean
  readonly limit: string
}

const LOOK_EVERY_MS = 500
const PAGE = 1000

export const registerEvents: RegisterCommand = (cli) => {
  cli.program
    .command('events')
    .option('-f, --follow', 'go on as things happen, until Ctrl-C')
    .option('--changes', 'only what somebody asked for: who, when, before, after')
    .option('--limit <n>', 'how many of the newest', '50')
    .description('what happened')
    .action(
      cli.action(async (common, options: EventsOptions) => {
        const limit = parseLimit(options.limit)
        const wanted = (entry: JournalEntry): boolean => options.changes !== true || entry.kind === 'change'
        const items = (await read(common, null, PAGE)).filter(wanted).slice(-limit)
        if (!options.follow) return { json: { items }, text: items.map(lineOf).join('\n') }
        await follow(cli, common, wanted, items)
        return { json: { items: [] }, text: '' }
      }),
    )
}

/** With --json one document a line: an endless list has no one document. */
async function follow(
  cli: Cli,
  common: CommonOptions,
  wanted: (entry: JournalEntry) => boolean,
  first: readonly JournalEntry[],
): Promise<never> {
  const print = (entry: JournalEntry): void => cli.print(common.json ? JSON.stringify(entry) : lineOf(entry))
  for (const entry of first) print(entry)
  let after = first.at(-1)?.id ?? ''
  for (;;) {
    // A coordinator that is gone for a moment comes back, or another does.
    const items = await read(common, after, PAGE).catch(() => [])
    for (const entry of items.filter(wanted)) print(entry)
    after = items.at(-1)?.id ?? after
    await sleep(LOOK_EVERY_MS)
  }
}

async function read(common: CommonOptions, after: string | null, limit: number): Promise<readonly JournalEntry[]> {
  const query = new URLSearchParams({ limit: String(limit), ...(after === null ? {} : { after }) })
  const call = { method: 'GET', path: `/admin/events?${query.toString()}` } as const
  const direct = async () => ({ items: await readJournal(resolve(common.dir), { after, limit }) })
  return (await ask<{ readonly items: readonly JournalEntry[] }>(common, call, direct)).items
}

export function lineOf({ at, coordinator, kind, text, data }: JournalEntry): string {
  const mark = kind === 'info' ? '' : `${kind}: `
  const details = data === null || JSON.stringify(data) === '{}' ? '' : ` ${JSON.stringify(data)}`
  return `${at} ${coordinator} ${mark}${text}${details}`
}

function parseLimit(text: string): number {
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= PAGE) return limit
  throw new CliError(EXIT.usage, 'usage', `--limit ${text}: a whole number from 1 to ${PAGE} is expected`)
}
