/** k6, for the bench: found by K6_BIN, in .tools/, in PATH; else built by Go where that is there. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { EXIT_MISSING_PROGRAM, findProgram, SetupError } from './programs.mjs'

const K6_MODULE = 'go.k6.io/k6/v2'
const K6_VERSION = 'v2.2.0'
export const K6_PACKAGE = `${K6_MODULE}@${K6_VERSION}`

/** @param {string} root @param {string[]} args @param {NodeJS.ProcessEnv} environment @returns {string | null} */
export function findK6(root, args, environment) {
  const at = args.findIndex((arg) => arg === '--k6' || arg.startsWith('--k6='))
  const asked = at === -1 ? environment.K6_BIN : (args[at]?.split('=')[1] ?? args[at + 1])
  if (asked) {
    if (existsSync(resolve(asked))) return resolve(asked)
    throw new SetupError(`there is no k6 at ${asked}`, EXIT_MISSING_PROGRAM)
  }
  const own = join(root, '.tools', 'k6')
  return existsSync(own) ? own : findProgram('k6', environment)
}

/** @param {string} root @param {string[]} args @param {NodeJS.ProcessEnv} environment @param {(line: string) => void} note */
export function ensureK6(root, args, environment, note) {
  const found = findK6(root, args, environment)
  if (found) return found
  const go = findProgram('go', environment)
  const how = `GOBIN=${join(root, '.tools')} go install ${K6_PACKAGE}`
  if (go === null) {
    throw new SetupError(
      `k6 is missing, and so is Go, which would build it. Install k6 v2 (https://k6.io) and name it with --k6 PATH or K6_BIN, or install Go and run:\n\n  ${how}\n`,
      EXIT_MISSING_PROGRAM,
    )
  }
  note(`building k6 (go install ${K6_PACKAGE}); this takes some minutes once`)
  const bin = join(root, '.tools')
  mkdirSync(bin, { recursive: true })
  if (!install(go, bin, environment) && !buildInModule(go, bin, environment)) {
    throw new SetupError(`k6 could not be built. By hand:\n\n  ${how}\n`, EXIT_MISSING_PROGRAM)
  }
  return join(bin, 'k6')
}

/** @param {string} go @param {string} bin @param {NodeJS.ProcessEnv} environment @returns {boolean} */
function install(go, bin, environment) {
  const env = { ...environment, GOBIN: bin }
  return spawnSync(go, ['install', K6_PACKAGE], { env, stdio: ['ignore', 2, 2] }).status === 0
}

/**
 * `go install` asks which versions there are, to warn of retracted ones, and some module mirrors do not say. A module
 * that requires just this version need not ask.
 * @param {string} go @param {string} bin @param {NodeJS.ProcessEnv} environment @returns {boolean}
 */
function buildInModule(go, bin, environment) {
  const dir = mkdtempSync(join(tmpdir(), 'farebox-k6-'))
  try {
    writeFileSync(join(dir, 'go.mod'), `module k6-build\n\ngo 1.24\n\nrequire ${K6_MODULE} ${K6_VERSION}\n`)
    const args = ['build', '-mod=mod', '-o', join(bin, 'k6'), K6_MODULE]
    return spawnSync(go, args, { cwd: dir, env: environment, stdio: ['ignore', 2, 2] }).status === 0
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
