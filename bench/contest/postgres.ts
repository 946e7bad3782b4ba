/** A PostgreSQL of a sample's own: own directory, a unix socket and no port, not as root, ended by its pid. */
import { execFileSync } from 'node:child_process'
import { chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectPostgres, USER } from '../baselines/sql.ts'
import { SERVER_CORE, start, until } from '../cluster/processes.ts'

export interface PostgresSite {
  /** The directory of its socket, which says where it is. */
  readonly url: string
  stop(): Promise<void>
}

const DEBIAN = '/usr/lib/postgresql'
const START_WITHIN_MS = 30_000
const CONNECTIONS_MAX = 64

/** `off`: nothing waits for the disk, as with Redis without AOF. */
export async function startPostgres(logDirectory: string, fsync: 'always' | 'off'): Promise<PostgresSite> {
  const bin = binDirectory()
  // Not below the bench's own directory, which others may not enter.
  const directory = mkdtempSync(join(tmpdir(), 'farebox-bench-postgres-'))
  const as = asNobody(directory)
  const data = join(directory, 'data')
  const [program, before] = as(join(bin, 'initdb'))
  const init = ['-D', data, '-A', 'trust', '-U', USER, '--no-locale', '-E', 'UTF8', '--no-sync', '--no-instructions']
  execFileSync(program, [...before, ...init], { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  const settings = fsync === 'always' ? [] : ['-c', 'fsync=off', '-c', 'synchronous_commit=off']
  const [server, args] = as(join(bin, 'postgres'))
  const listen = ['-k', directory, '-c', 'listen_addresses=', '-c', `max_connections=${CONNECTIONS_MAX}`]
  const logPath = join(logDirectory, 'postgres.log')
  const running = start({
    core: SERVER_CORE,
    program: server,
    args: [...args, '-D', data, ...listen, ...settings],
    logPath,
  })
  const stop = async (): Promise<void> => {
    await running.stop('SIGINT')
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await until(`PostgreSQL (see ${logPath})`, START_WITHIN_MS, () => answers(directory))
  } catch (error) {
    await stop()
    throw error
  }
  return { url: directory, stop }
}

async function answers(directory: string): Promise<boolean> {
  const pool = connectPostgres(directory, 1)
  try {
    await pool.query('select 1')
    return true
  } finally {
    await pool.end()
  }
}

function binDirectory(): string {
  const versions = readdirSync(DEBIAN).toSorted((a, b) => Number(b) - Number(a))
  if (versions[0] === undefined) throw new Error(`PostgreSQL is missing in ${DEBIAN}: apt-get install postgresql`)
  return join(DEBIAN, versions[0], 'bin')
}

/** PostgreSQL refuses to run as root. `setpriv` replaces itself by the program. */
function asNobody(directory: string): (program: string) => [string, string[]] {
  if (process.getuid?.() !== 0) return (program) => [program, []]
  const [uid, gid] = [idOfNobody('-u'), idOfNobody('-g')]
  chownSync(directory, uid, gid)
  return (program) => ['setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--', program]]
}

function idOfNobody(which: string): number {
  return Number(execFileSync('id', [which, 'nobody'], { encoding: 'utf8' }))
}
