/** Node packages: installed when they are missing or older than the lockfile. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SetupError } from './programs.mjs'

/** @param {string} root @param {NodeJS.ProcessEnv} environment @param {(line: string) => void} note */
export function ensurePackages(root, environment, note) {
  const stamp = join(root, 'node_modules', '.farebox-lock-hash')
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  note('installing node packages (npm ci)')
  const run = spawnSync('npm', ['ci', '--no-progress'], { cwd: root, env: environment, stdio: ['ignore', 2, 2] })
  if (run.status !== 0) {
    const why = run.error?.message ?? `it ended with ${run.signal ?? run.status}`
    throw new SetupError(`npm ci failed (${why}); its messages are above`)
  }
  writeFileSync(stamp, wanted)
}

/** @param {string} version for example 20.19.1 */
export function checkNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major === 20 && minor >= 19) return
  throw new SetupError(
    `Farebox needs Node 20, from 20.19 on; this is ${version}. uWebSockets.js has one binary per Node version. Install it with, for example: nvm install 20`,
    69,
  )
}
