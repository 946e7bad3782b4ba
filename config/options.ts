/**
 * The one table of options. Environment names, flags, help, the example file's completeness and the TypeScript type
 * of the configuration all derive from it.
 *
 * Group `cluster`: what all processes must agree on; its hash is compared at start. Group `process`: what one process
 * may set for itself. A default of `null` means "not set". Secrets come from environment or files, never from argv.
 */
import { Type, type Static, type TSchema } from 'typebox'

export interface Option {
  readonly schema: TSchema
  readonly default: unknown
  readonly unit: string | null
  readonly description: string
  readonly group: 'cluster' | 'process'
  readonly secret?: true
}

const wholeNumber = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum })
const text = (allowed: string, pattern = '^.+$') => Type.String({ pattern, description: allowed })
const ID = '^[a-z0-9][a-z0-9-]{0,31}$'
const ORIGIN = '^(\\*|https?://[A-Za-z0-9.:\\[\\]-]+)$'

export const OPTIONS = {
  'identity.mode': {
    schema: Type.Union([Type.Literal('token'), Type.Literal('anonymous')]),
    default: 'token',
    unit: null,
    description: 'Who a buyer is: the holder of a token, or (load tests only) every request without a token anew.',
    group: 'cluster',
  },
  'identity.secret': {
    schema: Type.String({ minLength: 1, description: 'text of at least 32 bytes' }),
    default: null,
    unit: null,
    description: 'Signs and checks HS256 tokens; its UTF-8 bytes are the key. At least 32 bytes.',
    group: 'cluster',
    secret: true,
  },
  'identity.secretFile': {
    schema: text('the path of a readable file'),
    default: null,
    unit: null,
    description: 'File with the identity secret, instead of identity.secret. A line end at its end is cut off.',
    group: 'process',
  },
  'identity.publicKeys': {
    schema: Type.Array(text('the path of a PEM file')),
    default: [] as string[],
    unit: null,
    description: 'PEM files with public keys: Ed25519 checks EdDSA tokens, P-256 checks ES256 tokens.',
    group: 'process',
  },
  'identity.issuer': {
    schema: text('text'),
    default: null,
    unit: null,
    description: 'When set, a token must carry it as `iss`.',
    group: 'cluster',
  },
  'identity.audience': {
    schema: text('text'),
    default: null,
    unit: null,
    description: 'When set, a token must carry it as `aud`.',
    group: 'cluster',
  },
  ack: {
    schema: Type.Union([
      Type.Literal('redis'),
      Type.Literal('replicated'),
      Type.Literal('ledger'),
      Type.Literal('none'),
    ]),
    default: 'redis',
    unit: null,
    description:
      'What must be safe before a buyer hears yes: Redis with fsync on every write; replicas as well; the ledger, whatever Redis loses; or (measurements only) nothing.',
    group: 'cluster',
  },
  'redis.url': {
    schema: text(
      'redis://…, rediss://… or redis+sentinel://host:port,host:port/NAME',
      '^(rediss?://.+|redis\\+sentinel://[^/]+/[^/]+)$',
    ),
    default: null,
    unit: null,
    description: 'Redis to use. Without it `up` starts its own.',
    group: 'process',
  },
  'redis.durable': {
    schema: Type.Boolean(),
    default: false,
    unit: null,
    description: 'Declares that Redis is durable where it forbids CONFIG and so cannot be asked.',
    group: 'cluster',
  },
  'redis.replicas': {
    schema: wholeNumber(1, 10),
    default: 1,
    unit: 'replicas',
    description: 'How many replicas must have an order before a buyer hears of it, with ack: replicated.',
    group: 'cluster',
  },
  'redis.commandTimeoutMs': {
    schema: wholeNumber(10, 60_000),
    default: 1000,
    unit: 'ms',
    description: 'After this a command without reply counts as unknown.',
    group: 'process',
  },
  'redis.autoPipelining': {
    schema: Type.Boolean(),
    default: false,
    unit: null,
    description: 'ioredis gathers commands of one turn of the event loop; for measurements.',
    group: 'process',
  },
  'ledger.url': {
    schema: text('pglite://DIR or postgres://…', '^(pglite://.+|postgres(ql)?://.+)$'),
    default: null,
    unit: null,
    description: 'Database of sales, orders and payments. Without it `up` uses pglite:// in its directory.',
    group: 'process',
  },
  latePayment: {
    schema: Type.Union([Type.Literal('retake'), Type.Literal('refund')]),
    default: 'refund',
    unit: null,
    description:
      'What a payment gets that comes after its hold lapsed: new tickets if there are any, or the money back.',
    group: 'cluster',
  },
  'demo.signIn': {
    schema: Type.Boolean(),
    default: false,
    unit: null,
    description: 'Whether anybody may have a buyer token for the asking (POST /api/demo/session). For demonstrations.',
    group: 'cluster',
  },
  'payment.webhookWindowMs': {
    schema: wholeNumber(1000, 86_400_000),
    default: 300_000,
    unit: 'ms',
    description: 'How far the time in a webhook’s signature may be from ours, before or after.',
    group: 'process',
  },
  'payment.sandbox.secret': {
    schema: Type.String({ minLength: 1, description: 'text of at least 32 bytes' }),
    default: null,
    unit: null,
    description: 'Signs and checks the webhooks of the sandbox. At least 32 bytes.',
    group: 'process',
    secret: true,
  },
  'payment.sandbox.secretFile': {
    schema: text('the path of a readable file'),
    default: null,
    unit: null,
    description: 'File with the sandbox’s secret, instead of payment.sandbox.secret. `up` makes one in its directory.',
    group: 'process',
  },
  'payment.sandbox.webhookUrl': {
    schema: text('http://… or https://…', '^https?://.+$'),
    default: null,
    unit: null,
    description: 'Where the sandbox sends its webhooks. Without it: to the orders process that it runs in.',
    group: 'process',
  },
  'payment.sandbox.delayMs': {
    schema: wholeNumber(0, 86_400_000),
    default: 0,
    unit: 'ms',
    description: 'How long the sandbox waits before it sends a webhook.',
    group: 'process',
  },
  'payment.sandbox.duplicates': {
    schema: wholeNumber(0, 10),
    default: 0,
    unit: 'webhooks',
    description: 'How many more times the sandbox sends each webhook.',
    group: 'process',
  },
  'payment.sandbox.failure': {
    schema: Type.Boolean(),
    default: false,
    unit: null,
    description: 'In the sandbox every attempt to pay fails.',
    group: 'process',
  },
  'payment.sandbox.outOfOrder': {
    schema: Type.Boolean(),
    default: false,
    unit: null,
    description: 'The sandbox tells of a failed attempt after the payment that followed it.',
    group: 'process',
  },
  'payment.sandbox.forged': {
    schema: Type.Boolean(),
    default: false,
    unit: null,
    description: 'The sandbox sends a forged webhook before each payment’s.',
    group: 'process',
  },
  'payment.sandbox.wrongAmount': {
    schema: Type.Boolean(),
    default: false,
    unit: null,
    description: 'The sandbox sends a webhook with another amount before each payment’s.',
    group: 'process',
  },
  'quota.buffer': {
    schema: Type.Union([wholeNumber(1, 1_000_000_000), Type.String({ pattern: '^[1-9][0-9]{0,3}%$' })]),
    default: '10%',
    unit: 'tickets or % of the fair share',
    description: 'How much more than its fair share a node may have in flight; a share is rounded up, at least 1.',
    group: 'cluster',
  },
  'quota.share': {
    schema: Type.Union([Type.Literal('weight'), Type.Literal('demand')]),
    default: 'weight',
    unit: null,
    description: 'What quota is shared by: the weights of the nodes, or what each node is seen to sell.',
    group: 'cluster',
  },
  'batch.maxItems': {
    schema: wholeNumber(1, 1000),
    default: 128,
    unit: 'items',
    description: 'Most purchases that one confirm call judges.',
    group: 'process',
  },
  'batch.maxInFlight': {
    schema: wholeNumber(1, 64),
    default: 2,
    unit: 'calls',
    description: 'Most confirm calls of a node under way at once.',
    group: 'process',
  },
  deadAfterMs: {
    schema: wholeNumber(200, 600_000),
    default: 1500,
    unit: 'ms',
    description: 'A node not heard of for longer gets no share and is declared dead.',
    group: 'cluster',
  },
  heartbeatMs: {
    schema: wholeNumber(20, 500),
    default: 250,
    unit: 'ms',
    description: 'How often a node reports and hears what changed.',
    group: 'cluster',
  },
  buyDeadlineMs: {
    schema: wholeNumber(100, 60_000),
    default: 3000,
    unit: 'ms',
    description: 'Every buy call is answered within this.',
    group: 'cluster',
  },
  'park.maxItems': {
    schema: wholeNumber(0, 1_000_000),
    default: 10_000,
    unit: 'items',
    description: 'Most purchases of a node that wait for quota; more are answered busy.',
    group: 'process',
  },
  'admin.host': {
    schema: text('an address or host name'),
    default: '127.0.0.1',
    unit: null,
    description: 'Address of the admin API. Any other than loopback needs admin.certFile and admin.keyFile.',
    group: 'process',
  },
  'admin.certFile': {
    schema: text('the path of a readable PEM file'),
    default: null,
    unit: null,
    description: 'Certificate of the admin API: it then speaks TLS.',
    group: 'process',
  },
  'admin.keyFile': {
    schema: text('the path of a readable PEM file'),
    default: null,
    unit: null,
    description: 'Private key of the admin API, mode 0600.',
    group: 'process',
  },
  'http.allowedOrigins': {
    schema: Type.Array(Type.String({ pattern: ORIGIN, description: 'an origin such as https://shop.example, or *' })),
    default: [] as string[],
    unit: null,
    description: 'Other origins whose pages may call the API. Empty: same origin only.',
    group: 'process',
  },
  'http.maxBodyBytes': {
    schema: wholeNumber(64, 1_048_576),
    default: 4096,
    unit: 'bytes',
    description: 'Longest request body; a longer one is answered too_large.',
    group: 'process',
  },
  'live.maxSockets': {
    schema: wholeNumber(0, 1_000_000),
    default: 10_000,
    unit: 'connections',
    description: 'Most live connections of a node; one more is closed with 1013.',
    group: 'process',
  },
  'http.publicUrl': {
    schema: text('http://… or https://…', '^https?://[^\\s/]+(/.*)?$'),
    default: null,
    unit: null,
    description: 'Address under which buyers reach us, for absolute links. Without it: as each request names its host.',
    group: 'process',
  },
  'log.level': {
    schema: Type.Union(
      (['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const).map((level) => Type.Literal(level)),
    ),
    default: 'info',
    unit: null,
    description: 'Least important log lines that are written.',
    group: 'process',
  },
  'node.id': {
    schema: text('an id: 1 to 32 of a-z, 0-9 and -, not starting with -', ID),
    default: null,
    unit: null,
    description: 'Name of this process in the fleet.',
    group: 'process',
  },
  'node.host': {
    schema: text('an address or host name'),
    default: '127.0.0.1',
    unit: null,
    description: 'Address on which the node serves buyers (nginx) and its admin port.',
    group: 'process',
  },
  'node.port': {
    schema: wholeNumber(0, 65_535),
    default: 0,
    unit: null,
    description: 'Port for the sale and buy calls; 0 takes a free one.',
    group: 'process',
  },
  'node.adminPort': {
    schema: wholeNumber(0, 65_535),
    default: 0,
    unit: null,
    description: 'Private port for health and metrics; 0 takes a free one.',
    group: 'process',
  },
  'node.weight': {
    schema: wholeNumber(1, 1000),
    default: 1,
    unit: null,
    description: 'Share of traffic and quota that the node asks for when it joins.',
    group: 'process',
  },
  'orders.id': {
    schema: text('an id: 1 to 32 of a-z, 0-9 and -, not starting with -', ID),
    default: null,
    unit: null,
    description: 'Name of this orders process in the fleet.',
    group: 'process',
  },
  'orders.host': {
    schema: text('an address or host name'),
    default: '127.0.0.1',
    unit: null,
    description: 'Address on which the orders process serves buyers (nginx) and its admin port.',
    group: 'process',
  },
  'orders.port': {
    schema: wholeNumber(0, 65_535),
    default: 0,
    unit: null,
    description: 'Port for the calls about orders; 0 takes a free one.',
    group: 'process',
  },
  'orders.adminPort': {
    schema: wholeNumber(0, 65_535),
    default: 0,
    unit: null,
    description: 'Private port for health, metrics and the operator; 0 takes a free one.',
    group: 'process',
  },
  'orders.processes': {
    schema: wholeNumber(1, 16),
    default: 1,
    unit: 'processes',
    description: 'Orders processes that `up` starts. More than one need PostgreSQL.',
    group: 'process',
  },
  'orders.nice': {
    schema: wholeNumber(0, 19),
    default: 5,
    unit: null,
    description: 'How far the orders process gives way to others on its cores, as nice(1); not with `ack: ledger`.',
    group: 'process',
  },
} as const satisfies Readonly<Record<string, Option>>

export type OptionPath = keyof typeof OPTIONS
export const OPTION_PATHS = Object.keys(OPTIONS) as OptionPath[]

type ValueOf<O extends Option> = Static<O['schema']> | (O['default'] extends null ? null : never)
type GroupOf<P extends string> = P extends `${infer Group}.${string}` ? Group : never
type Members<G extends string> = {
  readonly [P in OptionPath as P extends `${G}.${infer Name}` ? Name : never]: ValueOf<(typeof OPTIONS)[P]>
}

/** The configuration as the code reads it: `config.batch.maxItems`, `config.deadAfterMs`. */
export type Config = { readonly [G in GroupOf<OptionPath>]: Members<G> } & {
  readonly [P in Exclude<OptionPath, `${string}.${string}`>]: ValueOf<(typeof OPTIONS)[P]>
}

/** Names of the design that this version does not support: refused in so many words. */
export const UNSUPPORTED_OPTIONS: Readonly<Record<string, string>> = {}

export function isOptionPath(path: string): path is OptionPath {
  return Object.hasOwn(OPTIONS, path)
}

export function optionAt(path: OptionPath): Option {
  return OPTIONS[path]
}

/** `batch.maxItems` → `FAREBOX_BATCH_MAX_ITEMS`. */
export function environmentName(path: string): string {
  const snake = path.replace(/([A-Z])/g, '_$1').replaceAll('.', '_')
  return `FAREBOX_${snake.toUpperCase()}`
}

/** `batch.maxItems` → `--batch-max-items`. */
export function flagName(path: string): string {
  const kebab = path.replace(/([A-Z])/g, '-$1').replaceAll('.', '-')
  return `--${kebab.toLowerCase()}`
}

/** Options that may be given on the command line. */
export function flagPaths(): OptionPath[] {
  return OPTION_PATHS.filter((path) => optionAt(path).secret === undefined)
}

/** What may be written there, in words, for messages and help. */
export function allowedValues(schema: TSchema): string {
  const shape = schema as {
    readonly type?: string
    readonly const?: unknown
    readonly anyOf?: readonly TSchema[]
    readonly items?: TSchema
    readonly minimum?: number
    readonly maximum?: number
    readonly pattern?: string
    readonly description?: string
  }
  if (shape.description !== undefined) return shape.description
  if (shape.anyOf !== undefined) return shape.anyOf.map(allowedValues).join(' or ')
  if (shape.const !== undefined) return JSON.stringify(shape.const)
  if (shape.type === 'boolean') return 'true or false'
  if (shape.type === 'integer') return `a whole number from ${shape.minimum} to ${shape.maximum}`
  if (shape.type === 'array' && shape.items !== undefined) return `a list, each item ${allowedValues(shape.items)}`
  return shape.pattern?.endsWith('%$') === true ? 'a share such as "10%"' : 'text'
}

/** One paragraph per option, for `--help` and documents. */
export function helpText(): string {
  return OPTION_PATHS.map((path) => {
    const option = optionAt(path)
    const from = option.secret === undefined ? `${flagName(path)}, ${environmentName(path)}` : environmentName(path)
    const fallback = option.default === null ? 'not set' : JSON.stringify(option.default)
    return `${path}  (${from})\n    ${option.description}\n    Allowed: ${allowedValues(option.schema)}. Default: ${fallback}.`
  }).join('\n')
}
