/**
 * The programs that a command needs, where they come from, and how they are installed.
 *
 * Debian starts services when it installs them. A policy-rc.d that answers 101 forbids that; it is put back as it was
 * whatever happens.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export const EXIT_MISSING_PROGRAM = 69

/** Ends set-up with a message for people. */
export class SetupError extends Error {
  /** @param {string} message @param {number} exitCode */
  constructor(message, exitCode = 1) {
    super(message)
    this.name = 'SetupError'
    this.exitCode = exitCode
  }
}

/** Debian's package for each program. */
const PACKAGES = {
  'redis-server': 'redis-server',
  nginx: 'nginx',
  wrk: 'wrk',
  hey: 'hey',
  ab: 'apache2-utils',
  chromium: 'chromium',
  postgres: 'postgresql',
  tmux: 'tmux',
  zsh: 'zsh',
}

const SERVERS = ['redis-server', 'nginx']
const NEEDED = {
  up: SERVERS,
  test: [...SERVERS, 'wrk', 'hey', 'ab', 'chromium', 'postgres', 'tmux', 'zsh'],
  bench: [...SERVERS, 'wrk', 'postgres'],
  chaos: SERVERS,
  sim: [],
}

/** Where an ordinary user's PATH may not look although Debian puts servers there. */
const SYSTEM_DIRECTORIES = ['/usr/sbin', '/sbin', '/usr/local/sbin']
/** Debian keeps PostgreSQL out of every PATH, in one directory per version. */
const POSTGRES_DIRECTORY = '/usr/lib/postgresql'

/** @param {string} name @param {NodeJS.ProcessEnv} environment @returns {string | null} */
export function findProgram(name, environment = process.env) {
  for (const dir of directoriesOf(name, environment)) {
    const path = join(dir, name)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch {
      // not here
    }
  }
  return null
}

/** @param {string} name @param {NodeJS.ProcessEnv} environment @returns {string[]} */
function directoriesOf(name, environment) {
  const path = (environment.PATH ?? '').split(delimiter).filter(Boolean)
  return name === 'postgres' && !environment.FAREBOX_SETUP_PATH_ONLY ? [...path, ...postgresDirectories()] : path
}

/** @returns {string[]} the newest first */
function postgresDirectories() {
  try {
    const versions = readdirSync(POSTGRES_DIRECTORY).toSorted((a, b) => Number(b) - Number(a))
    return versions.map((version) => join(POSTGRES_DIRECTORY, version, 'bin'))
  } catch {
    return []
  }
}

/** PATH with the directories of servers, for everything that is started from here. @param {NodeJS.ProcessEnv} environment */
export function withSystemPath(environment) {
  if (environment.FAREBOX_SETUP_PATH_ONLY) return environment
  const dirs = (environment.PATH ?? '').split(delimiter)
  return { ...environment, PATH: [...dirs, ...SYSTEM_DIRECTORIES.filter((dir) => !dirs.includes(dir))].join(delimiter) }
}

/** @param {'up' | 'test' | 'bench' | 'chaos'} command @param {NodeJS.ProcessEnv} environment @returns {string[]} */
export function missingPrograms(command, environment) {
  return NEEDED[command].filter((name) => findProgram(name, environment) === null)
}

/** @param {string[]} programs @returns {string[]} Debian packages, each once. */
export function packagesFor(programs) {
  return [...new Set(programs.map((name) => PACKAGES[name]))]
}

/** The command that a person types. @param {string[]} packages */
export function installCommand(packages) {
  return `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`
}

/**
 * Installs what is missing, or throws with the exact command that would.
 * @param {'up' | 'test' | 'bench' | 'chaos'} command @param {NodeJS.ProcessEnv} environment @param {(line: string) => void} note
 */
export function ensurePrograms(command, environment, note) {
  const missing = missingPrograms(command, environment)
  if (missing.length > 0) {
    const packages = packagesFor(missing)
    const prefix = installerPrefix(environment)
    if (prefix === null) throw missingError(missing, packages)
    note(`installing ${packages.join(' ')} (missing: ${missing.join(', ')})`)
    install(prefix, packages, environment)
    const still = missingPrograms(command, environment)
    if (still.length > 0) throw missingError(still, packagesFor(still))
  }
  checkRedisVersion(environment)
}

/** @param {string[]} missing @param {string[]} packages */
function missingError(missing, packages) {
  const lines = [`missing: ${missing.join(', ')}. Install them with:`, '', `  ${installCommand(packages)}`, '']
  return new SetupError(lines.join('\n'), EXIT_MISSING_PROGRAM)
}

/** @param {NodeJS.ProcessEnv} environment */
function checkRedisVersion(environment) {
  const run = spawnSync('redis-server', ['--version'], { encoding: 'utf8', env: environment })
  const major = Number(/v=(\d+)/.exec(run.stdout ?? '')?.[1])
  if (major >= 7) return
  throw new SetupError(`redis-server 7 or newer is needed; found: ${(run.stdout ?? '').trim()}`, EXIT_MISSING_PROGRAM)
}

/** What stands before a privileged command: nothing for root, `sudo -n` where that works, null where neither does. */
function installerPrefix(environment) {
  if (findProgram('apt-get', environment) === null) return null
  if (process.getuid?.() === 0) return []
  if (findProgram('sudo', environment) === null) return null
  return spawnSync('sudo', ['-n', 'true'], { env: environment, stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : null
}

/** @param {string[]} prefix @param {string[]} packages @param {NodeJS.ProcessEnv} environment */
function install(prefix, packages, environment) {
  const env = { ...environment, DEBIAN_FRONTEND: 'noninteractive' }
  const script = new URL('install.sh', import.meta.url).pathname
  // By bash, whose trap puts policy-rc.d back also when we are interrupted.
  const run = spawnSync(
    prefix[0] ?? 'bash',
    [...prefix.slice(1), ...(prefix.length > 0 ? ['bash'] : []), script, ...packages],
    {
      env,
      stdio: ['ignore', 2, 2],
    },
  )
  if (run.status === 0) return
  throw new SetupError(
    `could not install ${packages.join(' ')} (${run.error?.message ?? `apt-get ended with ${run.signal ?? run.status}`}). By hand:\n\n  ${installCommand(packages)}\n`,
    EXIT_MISSING_PROGRAM,
  )
}
