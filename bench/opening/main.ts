/**
 * `npm run bench -- opening`: whether the first buyer after a scheduled opening waits as long as the thousandth.
 *
 * Each round is a fleet that has just started and sold nothing. At the opening second one purchase is made at each node,
 * or, every other round, as many through nginx as there are nodes; then a thousand more on the same connection. A first
 * purchase holds when it took at most twice the median of the thousand after it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster } from '../cluster/cluster.ts'
import { divideCores } from '../cluster/cores.ts'
import { practise, Shopper } from './shopper.ts'

export interface OpeningOptions {
  readonly root: string
  readonly nodes: number
  readonly rounds: number
  readonly strict: boolean
}

const BOUND = 2
const AFTERWARDS = 1000
const PRACTICE = 3000
const OPENS_IN_MS = 4000
/** Longer than a node's heartbeat may be late: then every node has heard. */
const HEARD_MS = 300
const SALE = 'opening'

export interface First {
  /** A node, or `nginx`. */
  readonly at: string
  readonly tookMs: number
  readonly medianMs: number
  /** How many of the thousand took more than twice their median themselves: what chance alone does here. */
  readonly slowAfterwards: number
}

export async function runOpening(options: OpeningOptions): Promise<number> {
  await practise(PRACTICE)
  const firsts: First[] = []
  for (let round = 0; round < options.rounds; round += 1) {
    const seen = await runRound(options, round % 2 === 1)
    for (const line of seen.map(lineOf)) process.stdout.write(`round ${round + 1}: ${line}\n`)
    firsts.push(...seen)
  }
  const { lines, holds } = judge(firsts)
  process.stdout.write(`${lines.join('\n')}\n`)
  return holds || !options.strict ? 0 : 1
}

export function judge(firsts: readonly First[]): { readonly lines: string[]; readonly holds: boolean } {
  const ratios = firsts.map(ratioOf).toSorted((a, b) => a - b)
  const held = ratios.filter((ratio) => ratio <= BOUND).length
  const [median, worst] = [medianOf(ratios), ratios.at(-1) ?? Number.NaN]
  const holds = ratios.length > 0 && held === ratios.length
  const slow = firsts.reduce((sum, { slowAfterwards }) => sum + slowAfterwards, 0)
  const slowPercent = (100 * slow) / (AFTERWARDS * firsts.length)
  const lines = [
    `${held} of ${ratios.length} first purchases within ${BOUND} times the median of the next ${AFTERWARDS}`,
    `ratio: median ${median.toFixed(2)}, worst ${worst.toFixed(2)}`,
    `of those that came after, ${slowPercent.toFixed(1)} % took more than ${BOUND} times the median: so much is chance here`,
  ]
  return { lines, holds }
}

function ratioOf({ tookMs, medianMs }: First): number {
  return tookMs / medianMs
}

function lineOf(first: First): string {
  const { at, tookMs, medianMs } = first
  return `${at} ${tookMs.toFixed(3)} ms, then ${medianMs.toFixed(3)} ms: ${ratioOf(first).toFixed(2)}`
}

async function runRound({ root, nodes }: OpeningOptions, isThroughNginx: boolean): Promise<First[]> {
  const box = mkdtempSync(join(tmpdir(), 'farebox-opening-'))
  const sale = { id: 'idle', limitPerBuyer: 1, holdSeconds: 600, fares: [{ id: 'seat', stock: 1 }] }
  const cluster = await Cluster.start({ root, directory: join(box, 'cluster'), cores: divideCores(), nodes, sale })
  try {
    const tokensFile = join(box, 'tokens')
    await cluster.writeTokens(nodes * (AFTERWARDS + 1), 'buyer-', tokensFile)
    const tokens = readFileSync(tokensFile, 'utf8').trim().split('\n').map(tokenOf)
    const opensAtMs = Date.now() + OPENS_IN_MS
    const file = join(box, 'opening.yaml')
    writeFileSync(file, saleText(new Date(opensAtMs), tokens.length))
    const made = await cluster.farebox('sale', 'create', file)
    if (made.code !== 0) throw new Error(`the sale was not made: ${made.stdout}${made.stderr}`)
    const places = isThroughNginx
      ? Array.from({ length: nodes }, () => ({ id: 'nginx', url: cluster.view.url }))
      : cluster.view.nodes
    const shoppers = places.map(({ url }) => new Shopper(url))
    for (const shopper of shoppers) await shopper.look(SALE)
    await sleep(opensAtMs + HEARD_MS - Date.now())
    const tookMs: number[] = []
    for (const shopper of shoppers) tookMs.push(await shopper.buyMs(SALE, 'seat', tokens.pop() ?? ''))
    return await afterwards(places, shoppers, tookMs, tokens)
  } finally {
    await cluster.end()
    rmSync(box, { recursive: true, force: true })
  }
}

async function afterwards(
  places: readonly { readonly id: string }[],
  shoppers: readonly Shopper[],
  tookMs: readonly number[],
  tokens: string[],
): Promise<First[]> {
  const firsts: First[] = []
  for (const [index, shopper] of shoppers.entries()) {
    const next: number[] = []
    for (let count = 0; count < AFTERWARDS; count += 1) {
      next.push(await shopper.buyMs(SALE, 'seat', tokens.pop() ?? ''))
    }
    shopper.close()
    const medianMs = medianOf(next)
    const slowAfterwards = next.filter((each) => each > BOUND * medianMs).length
    firsts.push({ at: places[index]?.id ?? '', tookMs: tookMs[index] ?? Number.NaN, medianMs, slowAfterwards })
  }
  return firsts
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function tokenOf(line: string): string {
  return line.split('\t')[1] ?? ''
}

function saleText(opensAt: Date, stock: number): string {
  return [
    `id: ${SALE}`,
    'name: A sale that opens by itself',
    `opensAt: ${opensAt.toISOString()}`,
    'limitPerBuyer: 1',
    'holdSeconds: 600',
    `fares: [{ id: seat, name: Seat, stock: ${stock}, price: { amount: 100, currency: EUR } }]`,
    '',
  ].join('\n')
}
