/** One scenario from an empty directory to everything that is known of it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { saleKeys } from '../../stock/redis/keys.ts'
import { Cluster } from '../cluster/cluster.ts'
import type { Cores } from '../cluster/cores.ts'
import { Sampler } from '../cluster/sampler.ts'
import { attemptLines, parseAttempts, parseOrders } from '../report/attempts.ts'
import type { AuditReport, Figure, K6Report, Mark, ScenarioRun } from '../report/document.ts'
import type { Excuse, Samples } from '../report/samples.ts'
import { commonFigures } from './figures.ts'
import { runK6 } from './k6.ts'
import type { ScenarioSpec, Size, Stage } from './spec.ts'

export interface ScenarioOptions {
  readonly root: string
  readonly k6: string
  readonly cores: Cores
  /** For what is left of the run. */
  readonly evidenceDir: string
  readonly id: string
  readonly step: string
  readonly size: Size
}

const LOOK_EVERY_MS = 20

/** Never rejects: a run that broke off is a run with an error. */
export async function runScenario(spec: ScenarioSpec, options: ScenarioOptions): Promise<ScenarioRun> {
  const run = new ScenarioInProgress(spec, options)
  try {
    await run.play()
  } catch (error) {
    run.error = error instanceof Error ? error.message : String(error)
  }
  return run.result()
}

class ScenarioInProgress {
  error: string | null = null
  readonly #spec: ScenarioSpec
  readonly #options: ScenarioOptions
  readonly #directory = mkdtempSync(join(tmpdir(), 'farebox-bench-'))
  readonly #createdAtMs = Date.now()
  #startedAtMs = Date.now()
  #isOver = false
  #samples: Samples | null = null
  #k6: K6Report | null = null
  #audit: AuditReport | null = null
  readonly #marks: Mark[] = []
  readonly #excuses: { node: string; fromMs: number; toMs: number | null }[] = []
  readonly #figures: Figure[] = []

  constructor(spec: ScenarioSpec, options: ScenarioOptions) {
    this.#spec = spec
    this.#options = options
    mkdirSync(options.evidenceDir, { recursive: true })
  }

  async play(): Promise<void> {
    const { root, cores, size } = this.#options
    const { name: id, limitPerBuyer, holdSeconds, config } = this.#spec
    const sale = { id, limitPerBuyer, holdSeconds, fares: this.#spec.fares(size.stock) }
    const directory = join(this.#directory, 'cluster')
    const more = config === undefined ? {} : { config }
    let cluster: Cluster | null = null
    try {
      cluster = await Cluster.start({ root, directory, cores, nodes: size.nodes, sale, ...more })
      await this.#sell(cluster)
      await this.#count(cluster)
    } catch (error) {
      if (cluster !== null) writeFileSync(this.#file('logs.json'), JSON.stringify(cluster.logs(), null, 2))
      throw error
    } finally {
      await cluster?.end()
      rmSync(this.#directory, { recursive: true, force: true })
    }
  }

  async #sell(cluster: Cluster): Promise<void> {
    const { size } = this.#options
    const tokens = join(this.#directory, 'tokens')
    await cluster.writeTokens(size.buyers, 'b-', tokens)
    this.#startedAtMs = Date.now()
    const saleKey = saleKeys(cluster.saleId).sale
    const fares = this.#spec.fares(size.stock).map(({ id }) => id)
    const { nodes } = cluster.view
    const sampler = new Sampler({ nodes, redis: cluster.redis, saleKey, fares }, this.#startedAtMs)
    try {
      const faults = this.#spec.during?.(this.#stage(cluster)) ?? Promise.resolve()
      // Both must come to their end, whichever fails.
      const [load, fault] = await Promise.allSettled([this.#load(cluster, tokens), faults])
      if (load.status === 'rejected') throw load.reason
      if (fault.status === 'rejected') throw fault.reason
    } finally {
      this.#samples = await sampler.stop()
    }
  }

  async #load(cluster: Cluster, tokens: string): Promise<void> {
    const { root, k6, cores, size } = this.#options
    const fares = this.#spec.fares(size.stock)
    const logPath = join(this.#directory, 'k6.log')
    const environment = {
      RUN: 'r1',
      SALE: cluster.saleId,
      URLS: [cluster.view.url, ...cluster.view.nodes.map(({ url }) => url)].join(','),
      FARES: fares.map(({ id }) => id).join(','),
      STOCKS: fares.map(({ stock }) => stock).join(','),
      TOKENS: tokens,
      BUYERS: size.buyers,
      SECONDS: size.seconds,
      // k6 goes on for a moment after the last buyer, and what comes then wants a VU as well while all buyers wait.
      VUS: Math.min(this.#spec.vus, 2 * size.buyers + 10),
      WINNER_P99_MS: this.#spec.winnerP99Ms,
      REFUSED_P99_MS: this.#spec.refusedP99Ms,
    }
    try {
      const summaryPath = this.#file('k6-summary.json')
      const scenario = this.#spec.name
      this.#k6 = await runK6({ root, k6, scenario, cores: cores.load, environment, logPath, summaryPath })
    } finally {
      this.#isOver = true
      this.#mark('the last buyer has gone')
    }
    const log = readFileSync(logPath, 'utf8')
    writeFileSync(this.#file('attempts.tsv'), attemptLines(parseAttempts(log)))
    const notes = notesOf(log)
    this.#k6 = { ...this.#k6, crossedInvariants: [...this.#k6.crossedInvariants, ...notes] }
  }

  async #count(cluster: Cluster): Promise<void> {
    await cluster.writeOrders(this.#file('orders.tsv'))
    const audit = await cluster.farebox('audit', cluster.saleId, '--json')
    writeFileSync(this.#file('audit.json'), audit.stdout)
    this.#audit = parseAudit(audit.stdout, audit.code)
    const attempts = parseAttempts(readFileSync(this.#file('attempts.tsv'), 'utf8'))
    const orders = parseOrders(readFileSync(this.#file('orders.tsv'), 'utf8'))
    const outcome = { attempts, orders, startedAtMs: this.#startedAtMs }
    this.#figures.push(...commonFigures(outcome, this.#samples), ...(this.#spec.figures?.(outcome) ?? []))
  }

  #stage(cluster: Cluster): Stage {
    return {
      cluster,
      size: this.#options.size,
      nowMs: () => this.#nowMs(),
      mark: (text) => this.#mark(text),
      excuse: (node) => {
        const excuse: { node: string; fromMs: number; toMs: number | null } = {
          node,
          fromMs: this.#nowMs(),
          toMs: null,
        }
        this.#excuses.push(excuse)
        return () => (excuse.toMs = this.#nowMs())
      },
      isOver: () => this.#isOver,
      until: async (isSo) => {
        while (!this.#isOver) {
          if (await isSo()) return 'so'
          await pause(LOOK_EVERY_MS)
        }
        return 'over'
      },
      tell: (figure) => this.#figures.push(figure),
    }
  }

  #nowMs(): number {
    return Date.now() - this.#startedAtMs
  }

  #mark(text: string): void {
    this.#marks.push({ atMs: this.#nowMs(), text })
  }

  #file(name: string): string {
    return join(this.#options.evidenceDir, name)
  }

  result(): ScenarioRun {
    const { id, step, size } = this.#options
    const { title, about, holdSeconds, limitPerBuyer } = this.#spec
    const fares = this.#spec.fares(size.stock)
    const stock = Object.fromEntries(fares.map((fare) => [fare.id, fare.stock]))
    const excuses: Excuse[] = this.#excuses
    return {
      kind: 'scenario',
      id,
      step,
      title,
      about,
      startedAtMs: this.#startedAtMs,
      endedAtMs: Date.now(),
      settings: {
        ...size,
        fares: fares.length,
        limitPerBuyer,
        holdSeconds,
        setUpMs: this.#startedAtMs - this.#createdAtMs,
      },
      error: this.error,
      expectation: { stock, buyers: size.buyers, ...this.#spec.expects(size, fares) },
      marks: this.#marks,
      excuses,
      samples: this.#samples,
      k6: this.#k6,
      audit: this.#audit,
      figures: this.#figures,
    }
  }
}

/** What a scenario found odd, in its own words, each once. */
function notesOf(log: string): string[] {
  const notes = log.split('\n').flatMap((line) => /NOTE(?:\\t|\t)([^"]*)/.exec(line)?.[1] ?? [])
  return [...new Set(notes)].map((note) => `${note} (${notes.filter((one) => one === note).length} times)`)
}

function parseAudit(text: string, code: number | null): AuditReport | null {
  try {
    const audit = JSON.parse(text) as AuditReport
    return { ...audit, ok: audit.ok && code === 0 }
  } catch {
    return null
  }
}
