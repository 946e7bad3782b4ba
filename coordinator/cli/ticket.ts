/**
 * `ticket verify CODE`: needs no cluster, only the published keys. Asked without `--keys`, it takes them from the
 * directory's cluster and keeps a copy beside it, with which it goes on where there is no network.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isoTime } from '../../http/iso-time.ts'
import { writeAtomically } from '../../loadbalancer/atomic-file.ts'
import { readJwks, verifyTicket, type TicketJwks } from '../../orders/tickets/verify-ticket.ts'
import { readCluster } from '../supervise/cluster-file.ts'
import { CliError, EXIT, type CommandResult, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'

const FETCH_TIMEOUT_MS = 3000
const COPY = 'ticket-keys.json'

export const registerTicket: RegisterCommand = (cli) => {
  group(cli.program, 'ticket', 'tickets at the gate')
    .command('verify')
    .argument('<code>', 'as it stands in the QR code')
    .option('--keys <file|url>', 'the published keys (GET /api/keys): a file, or where to get them')
    .description('checks a ticket offline; exit 1 for one that is not genuine')
    .action(
      cli.action(async (common, options: { readonly keys?: string }, code: string) => {
        const { keys } = options
        const jwks = keys === undefined ? await keysOfDirectory(common.dir) : await keysFrom(keys)
        return judge(code, jwks)
      }),
    )
}

function judge(code: string, keys: TicketJwks): CommandResult {
  const verdict = verifyTicket(code.trim(), keys)
  if (verdict.outcome !== 'genuine') {
    const { outcome, why } = verdict
    return {
      json: { valid: false, reason: outcome, detail: why },
      text: `not a genuine ticket (${outcome}): ${why}`,
      exitCode: EXIT.refused,
    }
  }
  const { issuedAtMs, ...ticket } = verdict.ticket
  const issuedAt = isoTime(issuedAtMs)
  return {
    json: { valid: true, ticket: { ...ticket, issuedAt } },
    text: `genuine: sale ${ticket.saleId}, fare ${ticket.fareId}, order ${ticket.orderId}, seat ${ticket.seat}, paid ${issuedAt}`,
  }
}

async function keysFrom(source: string): Promise<TicketJwks> {
  try {
    return isUrl(source) ? await fetchKeys(source) : parseKeys(readFileSync(source, 'utf8'), source)
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(EXIT.usage, 'bad_keys', `the keys cannot be read from ${source}: ${messageOf(error)}`)
  }
}

async function keysOfDirectory(dir: string): Promise<TicketJwks> {
  const copy = join(dir, COPY)
  const url = readCluster(dir)?.url
  try {
    if (url === undefined) throw new Error(`there is no cluster in ${dir}`)
    const keys = await fetchKeys(`${url}/api/keys`)
    writeAtomically(copy, JSON.stringify(keys), 0o644)
    return keys
  } catch (error) {
    const kept = readCopy(copy)
    if (kept !== null) return kept
    const message = `no keys to check with: ${messageOf(error)}. Name a file or a URL with --keys`
    throw new CliError(EXIT.noCluster, 'no_keys', message)
  }
}

function readCopy(path: string): TicketJwks | null {
  try {
    return parseKeys(readFileSync(path, 'utf8'), path)
  } catch {
    return null
  }
}

async function fetchKeys(url: string): Promise<TicketJwks> {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) })
  if (!response.ok) throw new Error(`${url} answers ${response.status}`)
  return parseKeys(await response.text(), url)
}

function parseKeys(text: string, source: string): TicketJwks {
  const keys = readJwks(JSON.parse(text))
  if (keys === null) throw new Error(`${source} holds no Ed25519 key set`)
  return keys
}

function isUrl(source: string): boolean {
  return /^https?:\/\//.test(source)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
