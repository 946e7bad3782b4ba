/** `doctor`: what a machine needs for a sale, and what it has. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { systemClock } from '../../runtime/clock.ts'
import { readCluster } from '../supervise/cluster-file.ts'
import { loadDirConfig } from './cluster.ts'
import { EXIT, type CommonOptions, type ExitCode, type RegisterCommand } from './frame.ts'
import { connectStock } from './stock.ts'
import { table } from './table.ts'

/** `wrong`: a sale fails or lies. `advice`: it works, and would work better. `unknown`: could not be asked. */
export type Verdict = 'ok' | 'advice' | 'wrong' | 'missing' | 'unknown'

export interface Finding {
  readonly what: string
  readonly found: string
  readonly verdict: Verdict
  /** What to do; empty when nothing is. */
  readonly advice: string
}

export const registerDoctor: RegisterCommand = (cli) => {
  cli.program
    .command('doctor')
    .description('check programs, limits and the clock of this machine; exit 1 when something is wrong')
    .action(
      cli.action(async (common) => {
        const items = [...programFindings(), ...limitFindings(readMachine()), await clockFinding(common)]
        const rows = items.map(({ what, found, verdict, advice }) => [what, found, verdict, advice])
        return {
          json: { items, ok: exitOf(items) === EXIT.done },
          text: table(['CHECK', 'FOUND', 'VERDICT', 'WHAT TO DO'], rows),
          exitCode: exitOf(items),
        }
      }),
    )
}

function exitOf(items: readonly Finding[]): ExitCode {
  if (items.some(({ verdict }) => verdict === 'missing')) return EXIT.missingProgram
  return items.some(({ verdict }) => verdict === 'wrong') ? EXIT.refused : EXIT.done
}

interface Program {
  readonly name: string
  readonly args: readonly string[]
  readonly pattern: RegExp
  /** What was tried; older may work. */
  readonly least: readonly [number, number]
}

const PROGRAMS: readonly Program[] = [
  { name: 'redis-server', args: ['--version'], pattern: /v=([\d.]+)/, least: [7, 0] },
  { name: 'nginx', args: ['-v'], pattern: /nginx\/([\d.]+)/, least: [1, 22] },
]

function programFindings(): Finding[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const nodeOk = major === 20 && minor >= 19
  return [
    {
      what: 'node',
      found: process.versions.node,
      verdict: nodeOk ? 'ok' : 'wrong',
      advice: nodeOk ? '' : 'install Node.js 20.19 or a later 20: the HTTP server is built for it',
    },
    ...PROGRAMS.map(programFinding),
  ]
}

function programFinding({ name, args, pattern, least }: Program): Finding {
  // Debian puts servers where an ordinary user's PATH may not look.
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/local/sbin` }
  const run = spawnSync(name, args, { encoding: 'utf8', timeout: 5000, env })
  if (run.error !== undefined) {
    return { what: name, found: 'not there', verdict: 'missing', advice: `apt-get install ${name}` }
  }
  const version = pattern.exec(`${run.stdout}${run.stderr}`)?.[1] ?? 'unknown'
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const isOld = major < least[0] || (major === least[0] && minor < least[1])
  const advice = isOld ? `${least.join('.')} or later is what was tried` : ''
  return { what: name, found: version, verdict: isOld ? 'wrong' : 'ok', advice }
}

export interface Machine {
  readonly openFiles: number | null
  readonly somaxconn: number | null
  readonly overcommit: number | null
  readonly hugePages: string | null
  readonly cores: number
}

function readMachine(): Machine {
  const limits = read('/proc/self/limits')
  const soft = /^Max open files\s+(\S+)/m.exec(limits ?? '')?.[1]
  const pages = /\[(\w+)\]/.exec(read('/sys/kernel/mm/transparent_hugepage/enabled') ?? '')?.[1]
  return {
    openFiles: soft === undefined ? null : soft === 'unlimited' ? Infinity : Number(soft),
    somaxconn: numberIn('/proc/sys/net/core/somaxconn'),
    overcommit: numberIn('/proc/sys/vm/overcommit_memory'),
    hugePages: pages ?? null,
    cores: availableParallelism(),
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function numberIn(path: string): number | null {
  const text = read(path)?.trim()
  return text === undefined || !/^\d+$/.test(text) ? null : Number(text)
}

const OPEN_FILES_MIN = 1024
const OPEN_FILES_GOOD = 20_000
const SOMAXCONN_GOOD = 4096

export function limitFindings({ openFiles, somaxconn, overcommit, hugePages, cores }: Machine): Finding[] {
  const files = openFiles === null ? 'unknown' : openFiles === Infinity ? 'unlimited' : String(openFiles)
  return [
    {
      what: 'open files (ulimit -n)',
      found: files,
      ...judged(openFiles, openFiles !== null && openFiles >= OPEN_FILES_GOOD, 'ulimit -n 65536: a buyer needs one'),
      ...(openFiles !== null && openFiles < OPEN_FILES_MIN ? { verdict: 'wrong' as const } : {}),
    },
    {
      what: 'net.core.somaxconn',
      found: String(somaxconn ?? 'unknown'),
      ...judged(somaxconn, somaxconn !== null && somaxconn >= SOMAXCONN_GOOD, 'sysctl -w net.core.somaxconn=4096'),
    },
    {
      what: 'vm.overcommit_memory',
      found: String(overcommit ?? 'unknown'),
      ...judged(overcommit, overcommit === 1, 'sysctl -w vm.overcommit_memory=1: Redis rewrites its AOF in a fork'),
    },
    {
      what: 'transparent huge pages',
      found: hugePages ?? 'unknown',
      ...judged(hugePages, hugePages !== 'always', 'set to madvise: with always a fork of Redis stalls it'),
    },
    {
      what: 'cores',
      found: String(cores),
      ...judged(cores, cores >= 4, 'a fleet on one machine wants a core for Redis and one for each node'),
    },
  ]
}

function judged(
  value: unknown,
  isGood: boolean,
  advice: string,
): { readonly verdict: Verdict; readonly advice: string } {
  if (value === null) return { verdict: 'unknown', advice: '' }
  return isGood ? { verdict: 'ok', advice: '' } : { verdict: 'advice', advice }
}

/** More, and times that buyers and operators see are wrong. Nothing is sold wrongly: Redis's clock decides alone. */
const CLOCK_OFF_MS_MAX = 500

async function clockFinding(common: CommonOptions): Promise<Finding> {
  const what = "clock against Redis's"
  const url = redisUrl(common)
  if (url === null) return { what, found: 'no cluster here', verdict: 'unknown', advice: '' }
  try {
    const port = await connectStock(url, 1000)
    try {
      const askedAtMs = systemClock.nowMs()
      const { nowMs } = await port.fleet.read()
      const offMs = Math.round(nowMs - (askedAtMs + systemClock.nowMs()) / 2)
      const isOff = Math.abs(offMs) > CLOCK_OFF_MS_MAX
      const advice = isOff ? 'let both machines follow the same time server' : ''
      return { what, found: `${offMs} ms`, verdict: isOff ? 'wrong' : 'ok', advice }
    } finally {
      await port.close()
    }
  } catch {
    return { what, found: 'Redis does not answer', verdict: 'unknown', advice: '' }
  }
}

function redisUrl({ dir, admin }: CommonOptions): string | null {
  if (admin !== undefined) return null
  const cluster = readCluster(dir)
  return cluster === null ? null : (loadDirConfig(dir, {}).config.redis.url ?? cluster.redis.url)
}
