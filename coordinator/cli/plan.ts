/** `plan`: how large a buffer, what a death costs: computed by formula, and tried in a simulation. */
import { existsSync } from 'node:fs'
import { bufferRule } from '../../config/buffer-rule.ts'
import type { BufferRule } from '../../stock/core/words.ts'
import { adviseBuffer, coveringBuffer, forecast, type Advice, type Forecast, type Scene } from '../plan/buffer.ts'
import { rehearseMany, type Difference } from '../rehearse/rehearse.ts'
import { loadDirConfig } from './cluster.ts'
import { CliError, EXIT, type CommonOptions, type RegisterCommand } from './frame.ts'
import { table } from './table.ts'

interface PlanOptions {
  readonly stock: string
  readonly nodes: string
  readonly kill: string
  readonly rate: string
  readonly roundTrip: string
  readonly skew: string
  readonly limit: string
  readonly at?: string
  readonly buffer?: string
  readonly deadAfter?: string
  readonly heartbeat?: string
  readonly seeds: string
}

const NUMBER_MAX = 1_000_000_000
const SEEDS_MAX = 1000
/** Purchases simulated, all seeds together: some seconds of work. Fewer seeds are tried where they would be more. */
const PURCHASES_MAX = 4_000_000

export const registerPlan: RegisterCommand = (cli) => {
  cli.program
    .command('plan')
    .requiredOption('--stock <n>', 'tickets of the fare')
    .requiredOption('--nodes <n>', 'nodes of equal weight')
    .option('--kill <k>', 'how many of them die at once', '1')
    .option('--rate <n>', 'purchases a second, all nodes together', '1000')
    .option('--round-trip <ms>', 'from a deduction to its answer', '5')
    .option('--skew <x>', 'how much more than a fair part of the buyers the most wanted node gets', '1')
    .option('--limit <n>', 'tickets per buyer', '2')
    .option('--at <n>', 'tickets left when they die (default: the worst moment)')
    .option('--buffer <b>', 'a number of tickets or a share such as 10% (default: as configured)')
    .option('--dead-after <ms>', 'when a silent node counts as dead (default: as configured)')
    .option('--heartbeat <ms>', 'how often nodes report (default: as configured)')
    .option('--seeds <n>', 'how many simulated sales', '100')
    .description('how large a buffer to choose and what a death costs: computed, and tried')
    .action(
      cli.action(async (common, options: PlanOptions) => {
        const scene = sceneOf(common, options)
        const result = planned(scene, whole('--seeds', options.seeds, 1, SEEDS_MAX))
        return { json: result, text: textOf(result) }
      }),
    )
}

interface Planned {
  readonly scene: Scene
  readonly advice: Advice
  /** Whether the survivors' quotas, with this buffer, add up to the whole stock when the sale opens. */
  readonly covers: boolean
  readonly computed: Forecast
  readonly simulated: Difference & { readonly seeds: number }
  readonly difference: Difference
}

function planned(scene: Scene, seedsAsked: number): Planned {
  const computed = forecast(scene)
  const perSeed = 2 * (computed.remainingAtDeath + (3 * scene.ratePerSecond * scene.roundTripMs) / 1000)
  const seeds = Math.max(3, Math.min(seedsAsked, Math.floor(PURCHASES_MAX / perSeed)))
  const simulated = { ...rehearseMany(scene, computed.remainingAtDeath, seeds), seeds }
  const difference = {
    delayMs: computed.delayMs - simulated.delayMs,
    wastedConfirms: computed.wastedConfirms - simulated.wastedConfirms,
  }
  const share = scene.stock / scene.nodes
  const buffer = 'tickets' in scene.buffer ? scene.buffer.tickets : Math.ceil((share * scene.buffer.percent) / 100)
  const covers = buffer >= coveringBuffer(share, scene.nodes, scene.kill)
  return { scene, advice: adviseBuffer(scene), covers, computed, simulated, difference }
}

function sceneOf(common: CommonOptions, options: PlanOptions): Scene {
  const nodes = whole('--nodes', options.nodes, 1, 10_000)
  const { quota, deadAfterMs, heartbeatMs } = configured(common)
  const scene: Scene = {
    stock: whole('--stock', options.stock, 1, NUMBER_MAX),
    nodes,
    kill: whole('--kill', options.kill, 0, nodes - 1),
    ratePerSecond: positive('--rate', options.rate),
    roundTripMs: positive('--round-trip', options.roundTrip),
    deadAfterMs: options.deadAfter === undefined ? deadAfterMs : positive('--dead-after', options.deadAfter),
    heartbeatMs: options.heartbeat === undefined ? heartbeatMs : positive('--heartbeat', options.heartbeat),
    skew: positive('--skew', options.skew),
    limitPerBuyer: whole('--limit', options.limit, 1, 1_000_000),
    buffer: options.buffer === undefined ? quota : parseBuffer(options.buffer),
    remainingAtDeath: options.at === undefined ? null : whole('--at', options.at, 1, NUMBER_MAX),
  }
  if (scene.remainingAtDeath !== null && scene.remainingAtDeath > scene.stock) {
    throw usage(`--at ${scene.remainingAtDeath}: no more than the stock, ${scene.stock}, can be left`)
  }
  return scene
}

/** The directory's settings where there is one, else the defaults: a plan needs no cluster. */
function configured({ dir }: CommonOptions): { quota: BufferRule; deadAfterMs: number; heartbeatMs: number } {
  if (!existsSync(dir)) return { quota: { percent: 10 }, deadAfterMs: 1500, heartbeatMs: 250 }
  const { config } = loadDirConfig(dir, {})
  return { quota: bufferRule(config.quota.buffer), deadAfterMs: config.deadAfterMs, heartbeatMs: config.heartbeatMs }
}

function parseBuffer(text: string): BufferRule {
  if (/^[1-9][0-9]{0,3}%$/.test(text)) return { percent: Number(text.slice(0, -1)) }
  if (/^[1-9][0-9]{0,8}$/.test(text)) return { tickets: Number(text) }
  throw usage(`--buffer ${text}: a whole number of tickets, or a share such as 10%, is expected`)
}

function whole(option: string, text: string, min: number, max: number): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (number >= min && number <= max) return number
  throw usage(`${option} ${text}: a whole number from ${min} to ${max} is expected`)
}

function positive(option: string, text: string): number {
  const number = /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : 0
  if (number > 0) return number
  throw usage(`${option} ${text}: a number above 0 is expected`)
}

function usage(message: string): CliError {
  return new CliError(EXIT.usage, 'usage', message)
}

function ms(value: number): string {
  return value.toFixed(1)
}

function textOf({ scene, advice, covers, computed, simulated, difference }: Planned): string {
  const { nodes, kill, buffer } = scene
  const shown = 'tickets' in buffer ? `${buffer.tickets} tickets` : `${buffer.percent}%`
  const rows = [
    ['delay of the last ticket, ms', ms(computed.delayMs), ms(simulated.delayMs), ms(difference.delayMs)],
    [
      'wasted confirms of a sale',
      computed.wastedConfirms.toFixed(0),
      simulated.wastedConfirms.toFixed(0),
      difference.wastedConfirms.toFixed(0),
    ],
  ]
  return [
    `${kill} of ${nodes} nodes die with ${computed.remainingAtDeath} of ${scene.stock} tickets left; buffer ${shown}`,
    '',
    table(['', 'FORMULA', `${simulated.seeds} SEEDS`, 'DIFFERENCE'], rows),
    '',
    `recommended buffer: ${advice.recommended} tickets`,
    `  ${advice.enough} keep the most wanted survivor from ever waiting`,
    `  ${advice.covering} make the quotas of ${nodes - kill} nodes add up to the whole stock` +
      `; ${shown} ${covers ? 'do' : 'do not'}`,
    'No ticket is lost in either case: the counter in Redis decides, and levels are not hand-outs.',
  ].join('\n')
}
