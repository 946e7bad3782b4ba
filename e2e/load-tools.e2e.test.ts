/** The usual load tools, unmodified, against nginx: they sell the sale out, exactly, split by the weights. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseAccessLog, sharesOf } from './access-log.ts'
import type { LogLine } from './access-log.ts'
import { Cluster, runProgram, saleText } from './cluster.ts'
import { say } from './rush.ts'
import { until } from './wait.ts'

const STOCK = 10_000
const WEIGHTS = [1, 2, 3, 4]
let cluster: Cluster
let url = ''

beforeAll(async () => {
  const sale = saleText({ seat: STOCK })
  cluster = await Cluster.up({ weights: WEIGHTS, sale, config: 'identity: { mode: anonymous }\n' })
  url = `${cluster.view.url}/api/sales/rush/fares/seat/orders`
})
afterAll(() => cluster.end())

/** Answers that were yes, by the tool's own count. */
async function ab(requests: number): Promise<number> {
  const body = cluster.space.file('body.json', '{"quantity":1}')
  const args = ['-q', '-n', String(requests), '-c', '50', '-p', body, '-T', 'application/json', url]
  const { code, stdout } = await runProgram('ab', args)
  expect(code, stdout).toBe(0)
  expect(number(stdout, /^Complete requests:\s+(\d+)/m)).toBe(requests)
  return requests - number(stdout, /^Non-2xx responses:\s+(\d+)/m)
}

async function hey(requests: number): Promise<{ readonly yes: number; readonly no: number }> {
  const args = ['-n', String(requests), '-c', '50', '-m', 'POST', '-d', '{"quantity":1}', url]
  const { code, stdout } = await runProgram('hey', args)
  expect(code, stdout).toBe(0)
  return { yes: number(stdout, /\[201\]\s+(\d+) responses/), no: number(stdout, /\[409\]\s+(\d+) responses/) }
}

async function wrk(seconds: number): Promise<number> {
  const script = cluster.space.file('post.lua', 'wrk.method = "POST"\nwrk.body = \'{"quantity":1}\'\n')
  const { code, stdout } = await runProgram('wrk', ['-t', '1', '-c', '64', '-d', `${seconds}s`, '-s', script, url])
  expect(code, stdout).toBe(0)
  expect(stdout).not.toContain('Socket errors')
  return number(stdout, /(\d+) requests in/) - number(stdout, /Non-2xx or 3xx responses: (\d+)/)
}

function number(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0)
}

function buys(): LogLine[] {
  return parseAccessLog(cluster.accessLog()).filter(({ method }) => method === 'POST')
}

it('ab, hey and wrk together hear exactly 10,000 times 201', async () => {
  const byAb = await ab(3000)
  const byHey = await hey(3000)
  // Long enough to sell what is left, and to hear what comes after.
  const byWrk = await wrk(4)
  expect([byAb, byHey.yes]).toEqual([3000, 3000])
  expect(byAb + byHey.yes + byWrk).toBe(STOCK)

  const further = await hey(1000)
  expect(further).toEqual({ yes: 0, no: 1000 })
  const lines = await until('the access log to be written', () => {
    const all = buys()
    const answered = all.filter(({ status }) => status === 409)
    return all.filter(({ status }) => status === 201).length === STOCK && answered.length >= 1000 && all
  })
  expect(new Set(lines.map(({ status }) => status))).toEqual(new Set([201, 409, ...cut(lines)]))
  say(`201 by ab ${byAb}, hey ${byHey.yes}, wrk ${byWrk}; ${lines.length} requests in the access log`)
})

/** What wrk left unanswered when its time was up: nginx writes 499. */
function cut(lines: readonly LogLine[]): number[] {
  const statuses = lines.map(({ status }) => status).filter((status) => status === 499)
  expect(statuses.length).toBeLessThanOrEqual(64)
  return statuses
}

it('traffic was split 10/20/30/40 within one point', () => {
  const shares = sharesOf(buys())
  const found = cluster.view.nodes.map((node) => shares.get(new URL(node.url).host) ?? 0)
  say(`split ${found.map((share) => share.toFixed(2)).join(' / ')} %`)
  for (const [index, weight] of WEIGHTS.entries()) expect(Math.abs((found[index] ?? 0) - weight * 10)).toBeLessThan(1)
})

it('what refuses is all_held, and the audit is ok', async () => {
  const answer = await fetch(url, { method: 'POST' })
  expect([answer.status, await answer.json()]).toMatchObject([409, { code: 'all_held' }])
  const audit = await cluster.audit()
  expect(audit).toMatchObject({ ok: true, fares: [{ held: STOCK, countedHeld: STOCK, remaining: 0, diff: 0 }] })
})
