/**
 * `npm run up`, `npm test`, `npm run sim`, `npm run bench` on a machine where perhaps nothing is installed yet: prepare, then run.
 *
 * Only Node's own modules are used, since this runs before `npm ci`. It asks for nothing; where it may not install,
 * it prints the command that would and exits 69.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build, isBuilt, ROOT } from './build.mjs'
import { ensureK6 } from './k6.mjs'
import { checkNode, ensurePackages } from './packages.mjs'
import { ensurePrograms, SetupError, withSystemPath } from './programs.mjs'

const note = (line) => process.stderr.write(`setup: ${line}\n`)

const bin = (name) => join('node_modules', '.bin', name)
/** The terminal sends Ctrl-C to the child as well; here it must only not end us first. */
const stay = () => undefined

/**
 * Every core simulates: a collector that keeps four more threads busy takes their time, and most of a sale dies young.
 * Each sale is a new world of closures; compiled plainly at once, they wait less for the compiler that takes long.
 * What it made of a closure is kept only as long as one of them lives: a collection of everything, between two of their
 * calls, has hundreds compiled again. So the old space (MB) may fill for hundreds of sales before there is one.
 */
const SIM_FLAGS = [
  '--single-threaded-gc',
  '--min-semi-space-size=64',
  '--max-semi-space-size=64',
  '--initial-old-space-size=512',
  '--always-sparkplug',
]

/** Of what has no program of its own to tell it. @type {Record<string, string>} */
const USAGE = {
  test: `usage: npm test -- [--project unit|redis|ledger|sim|e2e] [FILE…] [options of vitest run]
  Linter, formatter, types, then every test, or those that are named.
`,
  chaos: `usage: npm run chaos -- [--rounds 20] [--sentinel-rounds 10] [--kills K] [--failovers F] [--seed N] [--record]
  Rounds in which a real cluster is broken while buyers buy; each is judged. The seed of a round replays its faults.
  --kills and --failovers ask for as many rounds as have that many. --record keeps a row in docs/chaos.md, which is
  true after every round: the run may be interrupted.
`,
}

const isHelp = (args) => args.includes('--help') || args.includes('-h')

const COMMANDS = {
  up: async (args, environment) => run('bin/farebox', ['up', ...upArguments(args)], environment),
  test: async (args, environment) => {
    /** @type {[string, string[]][]} */
    const steps = [
      [bin('oxlint'), ['--type-aware']],
      [bin('prettier'), ['--check', '--log-level', 'warn', '.']],
      [bin('tsc'), ['-p', 'tsconfig.json', '--noEmit']],
      [bin('tsc'), ['-p', join('bench', 'k6', 'tsconfig.json')]],
      [bin('tsc'), ['-p', join('web', 'tsconfig.json')]],
      [bin('vitest'), ['run', ...args]],
    ]
    for (const [program, stepArgs] of steps) {
      note([program, ...stepArgs].join(' '))
      const code = await run(program, stepArgs, environment)
      if (code !== 0) return code
    }
    return 0
  },
  chaos: async (args, environment) =>
    run(bin('vitest'), ['run', '--project', 'e2e', 'e2e/chaos'], { ...environment, ...chaosSettings(args) }),
  sim: async (args, environment) =>
    run(process.execPath, [...SIM_FLAGS, join('dist', 'sim', 'main.js'), ...args], environment),
  bench: async (args, environment) => {
    const k6 = needsK6(args) ? { K6_BIN: ensureK6(ROOT, args, environment, note) } : {}
    return run(process.execPath, [join('dist', 'bench', 'main.js'), ...args], { ...environment, ...k6 })
  },
}

/** What a round surely does (e2e/chaos/chaos.e2e.test.ts asserts it). */
const SENTINEL_ROUND = { kills: 4, failovers: 2 }
const ROUND = { kills: 8 }

/** `--rounds 4 --seed 1`, as the environment that the chaos tests read. @param {string[]} args */
function chaosSettings(args) {
  const { record, ...numbers } = chaosOptions(args)
  for (const [name, text] of Object.entries(numbers)) {
    if (!/^\d{1,15}$/.test(text)) throw usageError('chaos', `--${name} ${text}: a whole number is expected`)
  }
  const { kills, failovers, seed = Math.trunc(Date.now() / 1000) } = numbers
  const isCounted = kills !== undefined || failovers !== undefined
  const sentinels =
    numbers['sentinel-rounds'] ?? (isCounted ? Math.ceil(Number(failovers ?? 0) / SENTINEL_ROUND.failovers) : 10)
  const left = Number(kills ?? 0) - SENTINEL_ROUND.kills * Number(sentinels)
  const rounds = numbers.rounds ?? (isCounted ? Math.max(0, Math.ceil(left / ROUND.kills)) : 20)
  return {
    CHAOS_ROUNDS: String(rounds),
    CHAOS_SENTINEL_ROUNDS: String(sentinels),
    CHAOS_SEED: String(seed),
    ...(record ? { CHAOS_RECORD: join(ROOT, 'docs', 'chaos.md') } : {}),
  }
}

/** @param {string[]} args */
function chaosOptions(args) {
  const number = { type: /** @type {const} */ ('string') }
  const options = { rounds: number, 'sentinel-rounds': number, kills: number, failovers: number, seed: number }
  try {
    return parseArgs({ args, options: { ...options, record: { type: 'boolean' } } }).values
  } catch (error) {
    throw usageError('chaos', error.message)
  }
}

function usageError(command, message) {
  return new SetupError(`${message}\n${USAGE[command]}`.trimEnd(), 2)
}

/** k6 may take minutes to build, and these do without it. */
function needsK6(args) {
  return !isHelp(args) && !args.some((arg) => ['ratios', 'opening', 'micro', 'report', 'table', 'help'].includes(arg))
}

/** Four nodes and the demo sale, unless the arguments say otherwise. */
function upArguments(args) {
  const has = (name) => args.some((arg) => arg === name || arg.startsWith(`${name}=`))
  const demo = join(ROOT, 'config', 'demo-sale.yaml')
  return [
    ...args,
    ...(has('--nodes') || has('--weights') ? [] : ['--nodes', '4']),
    ...(has('--sale') || !existsSync(demo) ? [] : ['--sale', demo]),
  ]
}

/** Runs in our place: same output, same exit code. Signals to us are passed on, and we wait for its end. */
function run(program, args, environment) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, env: environment, stdio: 'inherit' })
    const pass = (signal) => child.kill(signal)
    process.on('SIGINT', stay)
    process.on('SIGTERM', pass)
    process.on('SIGHUP', pass)
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      process.off('SIGINT', stay)
      process.off('SIGTERM', pass)
      process.off('SIGHUP', pass)
      resolve(code ?? 128 + ({ SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 1))
    })
  })
}

async function main([command, ...args]) {
  const work = COMMANDS[command]
  if (!work) throw new SetupError(`usage: node setup/run.mjs ${Object.keys(COMMANDS).join('|')} [arguments]`, 2)
  checkNode(process.versions.node)
  if (isHelp(args) && USAGE[command] !== undefined) {
    process.stdout.write(USAGE[command])
    return 0
  }
  // What is wrongly asked is told before anything is installed.
  if (command === 'chaos') chaosSettings(args)
  const environment = withSystemPath(process.env)
  if (!isHelp(args)) ensurePrograms(command, environment, note)
  ensurePackages(ROOT, environment, note)
  if (!isBuilt(ROOT)) {
    note('building')
    if (!build(ROOT)) throw new SetupError("the build failed; the compiler's messages are above")
  }
  return work(args, environment)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  process.stderr.write(`setup: ${error.message}\n`)
  process.exitCode = error.exitCode
}
