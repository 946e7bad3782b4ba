/** A PostgreSQL server of a test's own: own directory, a unix socket in it and no port, ended by its pid. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { openPostgres } from '../postgres.ts'

export interface TestPostgres {
  /** Of an empty database that belongs to the caller alone. */
  database(): Promise<string>
  readonly process: () => ChildProcess
  /** The server and its sessions stand still where they are: connections stay, and answer nothing. */
  freeze(): Promise<void>
  /** Goes on where {@link freeze} stopped it. */
  thaw(): Promise<void>
  /** The server and its sessions die with -9, frozen or not. Resolves when all are gone. */
  kill(): Promise<void>
  /** Starts it again on the same data, after it was killed. */
  restart(): Promise<void>
  stop(): Promise<void>
}

const DEBIAN = '/usr/lib/postgresql'
const START_DEADLINE_MS = 20_000
const USER = 'farebox'

export async function startTestPostgres(settings: readonly string[] = []): Promise<TestPostgres> {
  const bin = await binDirectory()
  const directory = await mkdtemp(join(tmpdir(), 'farebox-postgres-'))
  const identity = await unprivileged()
  if (identity.uid !== undefined) await chown(directory, identity.uid, identity.gid ?? identity.uid)
  const data = join(directory, 'data')
  const init = ['-D', data, '-A', 'trust', '-U', USER, '--no-locale', '-E', 'UTF8', '--no-sync', '--no-instructions']
  await promisify(execFile)(join(bin, 'initdb'), init, { cwd: directory, ...identity })
  const url = (name: string): string => `postgres://${USER}@/${name}?host=${encodeURIComponent(directory)}`
  const start = async (): Promise<ChildProcess> => {
    const own = ['-D', data, '-k', directory, '-c', 'listen_addresses=']
    const server = spawn(join(bin, 'postgres'), [...own, ...settings.flatMap((one) => ['-c', one])], {
      cwd: directory,
      stdio: 'ignore',
      ...identity,
    })
    await answers(url('postgres'), server)
    return server
  }
  let server = await start()
  let databases = 0
  return {
    process: () => server,
    async database() {
      const name = `test${(databases += 1)}`
      const admin = await openPostgres(url('postgres'))
      await admin.query(`create database ${name}`)
      await admin.close()
      return url(name)
    },
    async freeze() {
      // The server first: then no session is added.
      signal(server, 'SIGSTOP')
      for (const pid of await sessionsOf(server)) signalSession(pid, 'SIGSTOP')
    },
    async thaw() {
      for (const pid of await sessionsOf(server)) signalSession(pid, 'SIGCONT')
      signal(server, 'SIGCONT')
    },
    async kill() {
      // Stopped first: a session added after the look would outlive it, and a new server refuses to start beside one.
      signal(server, 'SIGSTOP')
      const sessions = await sessionsOf(server)
      signal(server, 'SIGKILL')
      for (const pid of sessions) signalSession(pid, 'SIGKILL')
      await ended(server)
      while (sessions.some(isRunning)) await new Promise((resolve) => setTimeout(resolve, 10))
    },
    async restart() {
      await ended(server)
      server = await start()
    },
    async stop() {
      // Fast shutdown: sessions are cut.
      server.kill('SIGINT')
      await ended(server)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid === undefined) throw new Error('postgres was not started')
  process.kill(pid, name)
}

/** A session may have ended since it was seen. */
function signalSession(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Every process that the server started. */
async function sessionsOf({ pid = 0 }: ChildProcess): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text
    .split(' ')
    .map(Number)
    .filter((child) => child > 0)
}

/** Not gone, and not merely waiting to be reaped. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat[stat.lastIndexOf(')') + 2] !== 'Z'
  } catch {
    return false
  }
}

async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
}

/** From PATH where it is, else from Debian's place, one directory per version. */
async function binDirectory(): Promise<string> {
  const versions = (await readdir(DEBIAN).catch(() => [])).toSorted((a, b) => Number(b) - Number(a))
  const places = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((version) => join(DEBIAN, version, 'bin')),
  ]
  for (const place of places) {
    if (existsSync(join(place, 'initdb')) && existsSync(join(place, 'postgres'))) return place
  }
  throw new Error('PostgreSQL is missing: apt-get install postgresql')
}

/** PostgreSQL refuses to run as root. */
async function unprivileged(): Promise<{ readonly uid?: number; readonly gid?: number }> {
  if (process.getuid?.() !== 0) return {}
  return { uid: await idOfNobody('-u'), gid: await idOfNobody('-g') }
}

async function idOfNobody(which: '-u' | '-g'): Promise<number> {
  return Number((await promisify(execFile)('id', [which, 'nobody'])).stdout.trim())
}

async function answers(url: string, server: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS
  for (;;) {
    try {
      await (await openPostgres(url)).close()
      return
    } catch (error) {
      if (server.exitCode !== null) throw new Error(`postgres ended with ${server.exitCode}`, { cause: error })
      if (performance.now() > deadline) throw new Error(`postgres did not answer in time`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
