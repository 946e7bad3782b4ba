/** Where and of what a set of runs was made: without it no figure means anything. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'

export interface Surroundings {
  readonly at: string
  readonly commit: string
  readonly machine: Readonly<Record<string, string | number>>
  readonly programs: Readonly<Record<string, string>>
}

export function surroundings(root: string, k6: string): Surroundings {
  const isChanged = run('git', '-C', root, 'status', '--porcelain') !== ''
  return {
    at: new Date().toISOString(),
    commit: run('git', '-C', root, 'rev-parse', 'HEAD') + (isChanged ? ' (changed)' : ''),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memoryGb: Math.round(totalmem() / 2 ** 30),
      kernel: run('uname', '-r'),
      system: systemName(),
      // A machine that is busy already measures its other work.
      loadBefore: readFileSync('/proc/loadavg', 'utf8').split(' ')[0] ?? 'unknown',
    },
    programs: {
      node: process.version,
      redis: first(/v=(\S+)/, run('redis-server', '--version')),
      nginx: first(/nginx\/(\S+)/, run('nginx', '-v')),
      wrk: first(/wrk (\S+)/, run('wrk', '-v')),
      k6: first(/k6 (\S+)/, run(k6, 'version')),
      postgresql: first(/PostgreSQL\) (\S+)/, run('psql', '--version')),
    },
  }
}

/** Both outputs: nginx and wrk tell their version on the second. Empty when it cannot be run. */
function run(program: string, ...args: string[]): string {
  try {
    return execFileSync('sh', ['-c', '"$0" "$@" 2>&1 || true', program, ...args], { encoding: 'utf8' }).trim()
  } catch {
    return ''
  }
}

function first(pattern: RegExp, text: string): string {
  return pattern.exec(text)?.[1] ?? 'not found'
}

function systemName(): string {
  try {
    return first(/^PRETTY_NAME="(.*)"$/m, readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return 'unknown'
  }
}
