/**
 * `npm run bench -- opening`: whether the first buyer after a scheduled opening waits as long as the thousandth.
 *
 * Each round is a fleet that has just started and sold nothing. At the opening second one purchase is made at each node,
 * or, every other round, as many through nginx as there are nodes; then a thousand more on the same connection. A first
 * purchase holds when it took at most twice the median of the thousand after it. At last single ones are made, each after
 * as long a silence as was before the first: what a purchase takes that does not follow another one.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cluster } from '../cluster/cluster.ts'
import { divideCores } from '../cluster/cores.ts'
import { exitCode, judgeValue, median, type Verdict, verdictLines } from '../report/verdicts.ts'
import { practise, Shopper } from './shopper.ts'

export interface OpeningOptions {
  readonly root: string
  readonly nodes: number
  readonly rounds: number
  readonly strict: boolean
}

const BOUND = 2
const AFTERWARDS = 1000
const OPENS_IN_MS = 4000
/** Longer than a node's heartbeat may be late: then every node has heard. */
const HEARD_MS = 300
/** Purchases after a silence, of each place. */
const ALONE = 5
const SALE = 'opening'

export interface First {
  /** A node, or `nginx`. */
  readonly at: string
  readonly tookMs: number
  readonly medianMs: number
  /** Median of those made later, each after a silence. */
  readonly aloneMs: number
  /** How many of the thousand took more than twice their median themselves: what chance alone does here. */
  readonly slowAfterwards: number
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

export async function runOpening(options: OpeningOptions): Promise<number> {
  const verdicts = judgeOpening(await measureOpening(options, say))
  say(`\n${verdictLines(verdicts).join('\n')}`)
  return exitCode(verdicts, options.strict)
}

export async function measureOpening(
  options: Omit<OpeningOptions, 'strict'>,
  tell: (line: string) => void,
): Promise<First[]> {
  const firsts: First[] = []
  for (let round = 0; round < options.rounds; round += 1) {
    const seen = await runRound(options, round % 2 === 1)
    for (const line of seen.map(lineOf)) tell(`  round ${round + 1}: ${line}`)
    firsts.push(...seen)
  }
  return firsts
}

/** The bar is on the worst of them; beside it stands what chance alone does on this machine. */
export function judgeOpening(firsts: readonly First[]): Verdict[] {
  const ratios = firsts.map(ratioOf)
  const isNone = firsts.length === 0
  const slow = firsts.reduce((sum, { slowAfterwards }) => sum + slowAfterwards, 0)
  const what = `first purchase after an opening against the median of the next ${AFTERWARDS}, ${firsts.length} times`
  return [
    judgeValue({ name: `${what}: the slowest`, atMost: BOUND }, isNone ? null : Math.max(...ratios)),
    judgeValue({ name: `${what}: median` }, isNone ? null : median(ratios)),
    judgeValue(
      { name: 'later purchases, each after as long a silence, against the same: median' },
      isNone ? null : median(firsts.map(({ aloneMs, medianMs }) => aloneMs / medianMs)),
    ),
    judgeValue(
      {
        name: `percent of the next ${AFTERWARDS} that took more than ${BOUND} times their median (what chance does here)`,
      },
      (100 * slow) / (AFTERWARDS * firsts.length),
    ),
  ]
}

function ratioOf({ tookMs, medianMs }: First): number {
  return tookMs / medianMs
}

function lineOf(first: First): string {
  const { at, tookMs, medianMs, aloneMs } = first
  const ms = [tookMs, medianMs, aloneMs].map((each) => each.toFixed(3))
  return `${at} ${ms[0]} ms, then ${ms[1]} ms: ${ratioOf(first).toFixed(2)}; later, alone, ${ms[2]} ms`
}

async function runRound(
  { root, nodes }: Pick<OpeningOptions, 'root' | 'nodes'>,
  isThroughNginx: boolean,
): Promise<First[]> {
  const box = mkdtempSync(join(tmpdir(), 'farebox-opening-'))
  const sale = { id: 'idle', limitPerBuyer: 1, holdSeconds: 600, fares: [{ id: 'seat', stock: 1 }] }
  const cluster = await Cluster.start({ root, directory: join(box, 'cluster'), cores: divideCores(), nodes, sale })
  try {
    const tokensFile = join(box, 'tokens')
    await cluster.writeTokens(nodes * (1 + AFTERWARDS + ALONE), 'buyer-', tokensFile)
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
    await practise(() => Date.now() < opensAtMs + HEARD_MS)
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
    const alone: number[] = []
    while (alone.length < ALONE) {
      const endMs = Date.now() + HEARD_MS
      await practise(() => Date.now() < endMs)
      alone.push(await shopper.buyMs(SALE, 'seat', tokens.pop() ?? ''))
    }
    shopper.close()
    const medianMs = median(next)
    firsts.push({
      at: places[index]?.id ?? '',
      tookMs: tookMs[index] ?? Number.NaN,
      medianMs,
      aloneMs: median(alone),
      slowAfterwards: next.filter((each) => each > BOUND * medianMs).length,
    })
  }
  return firsts
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
