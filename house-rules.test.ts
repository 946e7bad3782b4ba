/**
 * The house rules, enforced: which room may import which, no import cycles, and calls that do not belong where they
 * stand, each with what to use instead. Tests are held to the bans, not to the import table.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = import.meta.dirname
const OUTSIDE = ['node_modules', 'dist', 'bench/k6', 'bench/results', '.tools']

/**
 * The longest matching place of a file decides. Places name folders or files from the root, without `.ts`; a package
 * is written `npm:name`. Node's own modules are free except in pure rooms, which may have none.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  runtime: ['runtime', 'npm:prom-client', 'npm:pino'],
  config: ['config', 'stock/core', 'npm:typebox', 'npm:yaml'],
  'stock/core': ['stock/core', 'stock/port', 'runtime/assert'],
  'stock/port': ['stock/core'],
  'stock/order-id': ['runtime/assert'],
  'stock/memory': ['stock/memory', 'stock/core', 'stock/port', 'runtime'],
  'stock/redis': ['stock/redis', 'stock/core', 'stock/port', 'runtime', 'npm:ioredis'],
  'stock/conformance': ['stock', 'runtime', 'npm:ioredis', 'npm:fast-check'],
  http: ['http', 'stock/core', 'config', 'runtime', 'npm:typebox', 'npm:fast-jwt'],
  'http/uws': ['npm:uWebSockets.js'],
  node: ['node', 'http', 'stock', 'config', 'runtime'],
  'node/quota': ['node/quota', 'stock/core', 'stock/port', 'runtime/assert'],
  orders: ['orders', 'http', 'stock', 'config', 'runtime', 'npm:typebox'],
  'orders/ledger/conformance': ['orders/ledger', 'stock/core', 'runtime', 'npm:fast-check'],
  'orders/ledger': [
    'orders/ledger',
    'stock/core',
    'stock/port',
    'runtime',
    'config',
    'npm:pg',
    'npm:@electric-sql/pglite',
  ],
  'orders/payment': ['orders/payment', 'orders/ledger', 'http', 'stock', 'config', 'runtime', 'npm:typebox'],
  'orders/tickets': ['orders/tickets', 'orders/ledger', 'http', 'stock', 'config', 'runtime', 'npm:piscina'],
  // What a gate checks with: these two and nothing of ours besides.
  'orders/tickets/ticket-code': ['runtime/assert'],
  'orders/tickets/verify-ticket': ['orders/tickets/ticket-code'],
  'orders/pipeline': [
    'orders/pipeline',
    'orders/ledger/ledger',
    'orders/ledger/database',
    'orders/ledger/memory-ledger',
    'stock/core',
    'stock/port',
    'runtime',
  ],
  'coordinator/plan': ['coordinator/plan', 'stock/core', 'stock/port', 'runtime/assert'],
  'coordinator/rehearse': ['coordinator/rehearse', 'coordinator/plan', 'node/quota', 'stock/core', 'runtime'],
  'coordinator/operations': ['coordinator/operations', 'coordinator/plan', 'http', 'stock', 'config', 'runtime'],
  'coordinator/daemon': [
    'coordinator/daemon',
    'coordinator/operations',
    'coordinator/plan',
    'coordinator/supervise',
    'loadbalancer',
    'http',
    'stock',
    'config',
    'runtime',
  ],
  'coordinator/supervise': [
    'coordinator/supervise',
    'http/pinned-fetch',
    'node/heap',
    'loadbalancer',
    'config',
    'runtime',
    'stock',
    'npm:yaml',
  ],
  'coordinator/cli': [
    'coordinator',
    'loadbalancer',
    'node/main',
    'orders/main',
    'orders/tickets/verify-ticket',
    'http',
    'stock',
    'config',
    'runtime',
    'npm:commander',
    'npm:picocolors',
  ],
  loadbalancer: ['loadbalancer', 'runtime', 'stock/core'],
  'loadbalancer/render': ['loadbalancer/render', 'loadbalancer/problems', 'stock/core', 'runtime/assert'],
  bench: ['bench', 'node/heap', 'runtime', 'stock', 'http', 'config', 'npm:uWebSockets.js', 'npm:ioredis', 'npm:pg'],
  'bench/ledger': ['bench', 'orders/ledger', 'stock', 'runtime'],
  'bench/micro': [
    'bench',
    'node/pending-buy',
    'node/quota',
    'node/sale-desk',
    'runtime',
    'stock',
    'http',
    'npm:tinybench',
  ],
  web: ['web'],
  sim: ['sim', 'node', 'coordinator', 'orders', 'http', 'stock', 'runtime', 'npm:rolldown'],
  e2e: [
    'e2e',
    'runtime',
    'http/schemas',
    'http/live-messages',
    'orders/ledger/conformance',
    'sim/kept-row',
    'npm:ioredis',
    'npm:typebox',
    'npm:vitest',
    'npm:ws',
    'npm:playwright-core',
  ],
}

const PURE = [
  'stock/core',
  'node/quota',
  'coordinator/plan',
  'coordinator/rehearse',
  'loadbalancer/render',
  'node/live/outbox',
  'node/live/followed-orders',
]

interface Ban {
  readonly what: RegExp
  readonly instead: string
  /** Where it is banned; everywhere when left out. */
  readonly within?: readonly string[]
  readonly except?: readonly string[]
  /** Whether tests are held to it as well. */
  readonly inTests: boolean
}

const BANS: readonly Ban[] = [
  {
    what: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/,
    instead: 'take nowMs as an argument',
    within: PURE,
    inTests: false,
  },
  {
    what: /\bMath\.random\(|\brandomUUID\(|\brandomBytes\(/,
    instead: 'take randomness as an argument',
    within: PURE,
    inTests: false,
  },
  {
    what: /\bset(Timeout|Interval|Immediate)\(|\bqueueMicrotask\(/,
    instead: 'return what must happen as data',
    within: PURE,
    inTests: false,
  },
  { what: /\bprocess\.|\bfetch\(|\bconsole\./, instead: 'leave it to the shell', within: PURE, inTests: false },
  { what: /\bMath\.random\(/, instead: 'runtime/random', except: ['runtime/random', 'bench'], inTests: true },
  {
    what: /\bDate\.now\(/,
    instead: 'a Clock of runtime/clock',
    except: ['runtime/clock', 'coordinator/cli', 'bench', 'e2e'],
    inTests: false,
  },
  { what: /\bconsole\./, instead: 'the logger, or stdout of the CLI', except: ['bench', 'e2e'], inTests: false },
  {
    what: /\bprocess\.exit\(/,
    instead: 'LifeCycle, or an exit code',
    except: ['coordinator/cli/main', 'coordinator/cli/up', 'bench'],
    inTests: true,
  },
  {
    what: /\bset(Timeout|Interval|Immediate)\(|\bqueueMicrotask\(|\bperformance\.now\(|\brandomUUID\(|\brandomBytes\(/,
    instead: 'the kernel: events, virtual time, seeded randomness',
    within: ['sim'],
    except: ['sim/main', 'sim/kernel', 'sim/threads', 'sim/sale', 'sim/mutants'],
    inTests: false,
  },
  { what: /\b(pkill|killall|pidof|fuser)\b/, instead: 'a signal by pid', inTests: true },
  {
    what: /\b(it|test|describe)\.(only|skip|todo|fails)\b/,
    instead: 'a test that runs',
    inTests: true,
  },
  { what: /from 'uWebSockets\.js'/, instead: 'http/uws.ts', except: ['http/uws', 'bench/baselines'], inTests: true },
  {
    what: /\bnon_idempotent\b(?!` is never used)/,
    instead: 'nothing: a POST that was sent is never sent again',
    except: ['loadbalancer/render.test'],
    inTests: true,
  },
]

interface SourceFile {
  /** From the root, without `.ts`. */
  readonly place: string
  readonly isTest: boolean
  readonly text: string
  readonly imports: readonly string[]
}

const IMPORT = /(?:^|\n)\s*(?:import|export)\s(?:[^'"]*?\sfrom\s)?'([^']+)'|\bimport\('([^']+)'\)/g

function readSource(file: string): SourceFile {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const imports = [...text.matchAll(IMPORT)].map((match) => placeOfImport(file, match[1] ?? match[2] ?? ''))
  return { place: file.replace(/\.ts$/, ''), isTest: /\.(test|prop|e2e)\b|\/testing\//.test(file), text, imports }
}

function placeOfImport(file: string, specifier: string): string {
  if (specifier.startsWith('.')) {
    return relative(ROOT, join(ROOT, dirname(file), specifier)).replace(/\.ts$/, '')
  }
  if (specifier.startsWith('node:')) return specifier
  const parts = specifier.split('/')
  return `npm:${parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')}`
}

function listFiles(): string[] {
  return readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && !OUTSIDE.some((place) => isWithin(path, place)),
  )
}

/** All but this file, whose own examples break the rules. */
const files = listFiles()
  .filter((path) => path !== 'house-rules.test.ts')
  .map(readSource)

function isWithin(place: string, room: string): boolean {
  return place === room || place.startsWith(`${room}/`)
}

function ruleFor(place: string): readonly string[] | null {
  const rooms = Object.keys(MAY_IMPORT).filter((room) => isWithin(place, room))
  const closest = rooms.toSorted((a, b) => b.length - a.length)[0]
  return closest === undefined ? null : (MAY_IMPORT[closest] ?? null)
}

/** What breaks the import table, as `file imports what`. */
export function importFaults(sources: readonly SourceFile[]): string[] {
  return sources.flatMap(({ place, isTest, imports }) => {
    const allowed = ruleFor(place)
    if (isTest || !place.includes('/')) return []
    if (allowed === null) return [`${place} is in no room of the table`]
    const isPure = PURE.some((room) => isWithin(place, room))
    return imports
      .filter((imported) => (imported.startsWith('node:') ? isPure : !allowed.some((room) => isWithin(imported, room))))
      .map((imported) => `${place} imports ${imported}`)
  })
}

/** The first import cycle found, as a path. */
export function importCycle(sources: readonly SourceFile[]): string[] | null {
  const imports = new Map(sources.map((source) => [source.place, withoutTypeImports(source)]))
  const done = new Set<string>()
  const visit = (place: string, path: readonly string[]): string[] | null => {
    if (path.includes(place)) return [...path.slice(path.indexOf(place)), place]
    if (done.has(place)) return null
    for (const next of imports.get(place) ?? []) {
      const cycle = visit(next, [...path, place])
      if (cycle !== null) return cycle
    }
    done.add(place)
    return null
  }
  for (const place of imports.keys()) {
    const cycle = visit(place, [])
    if (cycle !== null) return cycle
  }
  return null
}

/** A type may be named in both directions; a cycle of code may not be. */
function withoutTypeImports({ place, text }: SourceFile): string[] {
  const code = text.replaceAll(/(^|\n)\s*(import|export) type [^;]*?from '[^']+'/g, '')
  return [...code.matchAll(IMPORT)]
    .map((match) => placeOfImport(`${place}.ts`, match[1] ?? match[2] ?? ''))
    .filter((imported) => !imported.includes(':'))
}

/** Banned calls, as `file:line what, instead`. Comments are free. */
export function banFaults(sources: readonly SourceFile[]): string[] {
  return sources.flatMap(({ place, isTest, text }) =>
    BANS.filter(
      ({ within, except, inTests }) =>
        (inTests || !isTest) &&
        (within === undefined || within.some((room) => isWithin(place, room))) &&
        !(except ?? []).some((room) => isWithin(place, room)),
    ).flatMap(({ what, instead }) =>
      text
        .split('\n')
        .flatMap((line, index) =>
          what.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line)
            ? [`${place}:${index + 1} ${line.trim().slice(0, 80)} (instead: ${instead})`]
            : [],
        ),
    ),
  )
}

function sourceOf(place: string, text: string): SourceFile {
  const imports = [...text.matchAll(IMPORT)].map((match) => placeOfImport(`${place}.ts`, match[1] ?? match[2] ?? ''))
  return { place, isTest: false, text, imports }
}

describe('house rules', () => {
  it('finds the house', () => {
    expect(files.length).toBeGreaterThan(100)
  })

  it('hold for imports between rooms', () => {
    expect(importFaults(files)).toEqual([])
  })

  it('allow no import cycle', () => {
    expect(importCycle(files)).toBeNull()
  })

  it('ban calls where they do not belong', () => {
    expect(banFaults(files)).toEqual([])
  })
})

describe('the rules can fail', () => {
  it('at an import across rooms', () => {
    expect(importFaults([sourceOf('node/x', "import { plan } from '../coordinator/plan/plan.ts'\n")])).toHaveLength(1)
    expect(importFaults([sourceOf('stock/core/x', "import { readFileSync } from 'node:fs'\n")])).toHaveLength(1)
  })

  it('at a cycle', () => {
    const a = sourceOf('node/a', "import { b } from './b.ts'\n")
    const b = sourceOf('node/b', "import { a } from './a.ts'\n")
    expect(importCycle([a, b])).toEqual(['node/a', 'node/b', 'node/a'])
  })

  it('at a banned call', () => {
    expect(banFaults([sourceOf('stock/core/x', 'const now = Date.now()\n')])).not.toEqual([])
    expect(banFaults([sourceOf('http/x', 'const draw = Math.random()\n')])).not.toEqual([])
  })
})
