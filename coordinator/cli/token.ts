import { tokenSigner } from '../../http/sign-token.ts'
import { loadDirConfig } from './cluster.ts'
import { CliError, EXIT, type CommonOptions, type RegisterCommand } from './frame.ts'

interface TokenOptions {
  readonly buyer?: string
  readonly count?: string
  readonly prefix?: string
  readonly ttl: string
}

const BUYER = /^[\x20-\x7e]{1,128}$/
const COUNT_MAX = 10_000_000

export const registerToken: RegisterCommand = (cli) => {
  cli.program
    .command('token')
    .description('a token for a buyer, or many for a load test')
    .option('--buyer <id>', 'the buyer: prints the token alone')
    .option('--count <n>', 'how many buyers: prints lines of buyer, tab, token')
    .option('--prefix <text>', 'start of the buyers made by --count', 'buyer-')
    .option('--ttl <time>', 'how long it is valid: 30s, 15m, 1h, 7d', '1h')
    .action(
      cli.action(async (common, options: TokenOptions) => {
        const many = options.count !== undefined
        if ((options.buyer !== undefined) === many) {
          throw new CliError(EXIT.usage, 'usage', 'say either --buyer ID or --count N [--prefix P]')
        }
        const expiresAtMs = Date.now() + parseDurationMs(options.ttl)
        const sign = signerOf(common)
        const buyers = many ? buyersOf(options) : [options.buyer ?? '']
        const items = buyers.map((buyer) => ({ buyer: checkBuyer(buyer), token: sign(buyer, expiresAtMs) }))
        const lines = items.map(({ buyer, token }) => (many ? `${buyer}\t${token}` : token))
        return { json: many ? { items } : items[0], text: lines.join('\n') }
      }),
    )
}

function signerOf({ dir }: CommonOptions): (buyer: string, expiresAtMs: number) => string {
  const { identity } = loadDirConfig(dir, {}).config
  if (identity.secret !== null) {
    return tokenSigner(identity.secret, { issuer: identity.issuer, audience: identity.audience })
  }
  const message = `${dir} has no identity secret: start a cluster with "farebox up", or set FAREBOX_IDENTITY_SECRET_FILE`
  throw new CliError(EXIT.noCluster, 'no_secret', message)
}

function buyersOf({ count = '', prefix = '' }: TokenOptions): string[] {
  const length = /^\d+$/.test(count) ? Number(count) : 0
  if (length < 1 || length > COUNT_MAX) {
    throw new CliError(EXIT.usage, 'usage', `--count ${count}: a whole number from 1 to ${COUNT_MAX} is expected`)
  }
  return Array.from({ length }, (_, index) => `${prefix}${index + 1}`)
}

function checkBuyer(buyer: string): string {
  if (BUYER.test(buyer)) return buyer
  throw new CliError(
    EXIT.usage,
    'usage',
    `buyer ${JSON.stringify(buyer)}: 1 to 128 printable ASCII characters are expected`,
  )
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

export function parseDurationMs(text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(number) * (UNITS_MS[unit ?? ''] ?? Number.NaN)
  if (ms > 0) return ms
  throw new CliError(EXIT.usage, 'usage', `--ttl ${text}: a time such as 30s, 15m, 1h or 7d is expected`)
}
