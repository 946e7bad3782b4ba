/**
 * The support desk and the box office: stock, left-overs, export, one order. What an operator types, reads and gets as
 * exit code, while buyers buy, and what the audit says afterwards.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli } from '../coordinator/cli/program.ts'
import { buyOnce, jsonOf, request, Rush, type Attempt, type History } from './client.ts'
import { Cluster, runProgram, saleText, untilGone, type Output } from './cluster.ts'
import { wishOf } from './rush.ts'
import { until } from './wait.ts'

const FAREBOX = join(import.meta.dirname, '..', 'bin', 'farebox')
const NOBODY = '0'.repeat(26)
/** More than the pages in which an export is read. */
const SEATS = 1300

let cluster: Cluster
beforeAll(async () => {
  const more = { limitPerBuyer: 4 }
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: SEATS, balcony: 8, box: 30 }, more) })
  for (const id of ['tour', 'draft']) {
    await cluster.read('sale', 'create', cluster.space.file(`${id}.yaml`, saleText({ stand: 2 }, { ...more, id })))
  }
  await cluster.read('sale', 'open', 'tour')
})
afterAll(() => cluster.end())

/** As a person types it, in a process of its own: text, not JSON. */
function plain(...args: string[]): Promise<Output> {
  return runProgram(process.execPath, [FAREBOX, ...args, '--dir', cluster.dir])
}

/** The same command line in this process: many of them cost no start of Node each. */
async function typed(...args: string[]): Promise<Output> {
  let [stdout, stderr] = ['', '']
  const terminal = { interactive: false, colours: false }
  const code = await runCli([...args, '--dir', cluster.dir], {
    ...terminal,
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
  })
  return { code, stdout, stderr }
}

async function read<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await typed(...args, '--json')
  if (code !== 0) throw new Error(`farebox ${args.join(' ')} exited with ${code}: ${stdout}${stderr}`)
  return JSON.parse(stdout) as T
}

async function tokenOf(name: string): Promise<string> {
  return (await read<{ token: string }>('token', '--buyer', name)).token
}

async function buy(name: string, fareId: string, quantity = 1, saleId = 'rush'): Promise<Attempt> {
  const buyer = { buyer: name, token: await tokenOf(name) }
  return buyOnce(wishOf(buyer, { saleId, fareId, quantity }), cluster.view.url)
}

async function bought(name: string, fareId: string, quantity = 1): Promise<string> {
  const attempt = await buy(name, fareId, quantity)
  expect(attempt.status).toBe(201)
  return attempt.orderId ?? ''
}

async function pay(id: string, name: string): Promise<void> {
  const headers = { Authorization: `Bearer ${await tokenOf(name)}` }
  const started = await request(`${cluster.view.url}/api/orders/${id}/payment`, { method: 'POST', headers })
  const page = new URL(String(jsonOf(started)['redirectUrl']), cluster.view.url).href
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
  await request(page, { method: 'POST', headers: form, body: 'outcome=pay' })
  await until(`order ${id} to be paid`, async () => (await stateOf(id)) === 'paid')
}

interface FareView {
  readonly id: string
  readonly stock: number
  readonly remaining: number
}

async function fareOf(saleId: string, fareId: string): Promise<FareView> {
  const { fares } = await read<{ fares: readonly FareView[] }>('sale', 'show', saleId)
  const fare = fares.find(({ id }) => id === fareId)
  if (fare === undefined) throw new Error(`no fare ${fareId}`)
  return fare
}

async function stateOf(id: string): Promise<string> {
  return (await read<{ state: string }>('order', 'show', id)).state
}

/** The code of a refusal in JSON, and that a person reads why on stderr and nothing on stdout. */
async function expectRefused(code: number, error: string, ...args: string[]): Promise<void> {
  const [json, text] = await Promise.all([typed(...args, '--json'), typed(...args)])
  const told = { command: args, code: json.code, answer: JSON.parse(json.stdout) as unknown }
  expect(told).toMatchObject({ command: args, code, answer: { error: { code: error } } })
  expect({ command: args, code: text.code, stdout: text.stdout }).toEqual({ command: args, code, stdout: '' })
  expect(text.stderr).toMatch(/^(farebox|error): .{10,}/)
}

async function expectWhole(...saleIds: string[]): Promise<void> {
  for (const id of saleIds) {
    const { code, stdout } = await typed('audit', id)
    expect([code, stdout.trim().split('\n').at(-1)], stdout).toEqual([0, 'ok: everything agrees'])
  }
}

it('a sale that is opened by hand was rehearsed by every node, which only an operator may ask for', async () => {
  for (const { id, adminUrl } of cluster.view.nodes) {
    // Whoever opens does not wait for a node that is slow.
    await until(`${id} has practised`, async () => {
      const { items } = await cluster.read<{ items: { text: string }[] }>('logs', id, '--limit', '2000')
      const practised = items.find(({ text }) => text.includes('practised before an opening by hand'))
      return Number(/"purchases":(\d+)/.exec(practised?.text ?? '')?.[1] ?? 0) > 0
    })
    expect((await request(`${adminUrl}/rehearsal`, { method: 'POST' })).status).toBe(401)
  }
})

describe('sale stock', () => {
  it('raises in mid-sale what was all held, lowers to what is held and no further, and says so', async () => {
    await bought('ann', 'balcony', 4)
    await bought('bob', 'balcony', 4)
    expect((await buy('eve', 'balcony')).code).toBe('all_held')

    const raised = await plain('sale', 'stock', 'rush', 'balcony', '--set', '11')
    expect(raised).toMatchObject({ code: 0, stderr: '' })
    expect(raised.stdout).toBe('sale rush: changed, open; balcony: stock 11, remaining 3\n')
    // Done means that the nodes know: the first purchase after it is judged by the new stock.
    await bought('eve', 'balcony', 2)

    const lowered = await read('sale', 'stock', 'rush', 'balcony', '--set', '10')
    expect(lowered).toMatchObject({ outcome: 'changed', notHeardBy: [] })
    expect((await buy('joe', 'balcony')).code).toBe('all_held')
    await expectRefused(1, 'below_held_and_paid', 'sale', 'stock', 'rush', 'balcony', '--set', '9')
    expect(await fareOf('rush', 'balcony')).toMatchObject({ stock: 10, remaining: 0 })
    const again = await typed('sale', 'stock', 'rush', 'balcony', '--set', '10')
    expect(again).toMatchObject({ code: 0, stdout: 'sale rush: nothing to do, open; balcony: stock 10, remaining 0\n' })
    await expectWhole('rush')
  })

  it.each([
    [1, 'no_such_sale', ['nope', 'seat', '--set', '5']],
    [1, 'no_such_fare', ['rush', 'nope', '--set', '5']],
    [2, 'usage', ['rush', 'seat']],
    [2, 'usage', ['Rush', 'seat', '--set', '5']],
    [2, 'usage', ['rush', 'seat', '--set', 'many']],
    [2, 'usage', ['rush', 'seat', '--set', '-1']],
    [2, 'usage', ['rush', 'seat', '--set', '1.5']],
    [2, 'usage', ['rush', 'seat', '--set', '1000000001']],
  ])('exits %d, %s: %j', async (code, error, args) => {
    await expectRefused(code, error, 'sale', 'stock', ...args)
  })
})

describe('sale transfer', () => {
  it('carries what is left to another sale, once; no ticket more or less in sum', async () => {
    await bought('liz', 'box', 2)
    const moved = await plain('sale', 'transfer', 'rush', 'box', 'tour', 'stand')
    expect(moved).toMatchObject({ code: 0, stdout: '28 tickets from box of sale rush to stand of sale tour\n' })
    expect(await fareOf('rush', 'box')).toMatchObject({ stock: 2, remaining: 0 })
    expect(await fareOf('tour', 'stand')).toMatchObject({ stock: 30, remaining: 30 })
    expect((await buy('joe', 'box')).code).toBe('all_held')
    expect((await buy('joe', 'stand', 4, 'tour')).status).toBe(201)

    expect(await typed('sale', 'transfer', 'rush', 'box', 'tour', 'stand')).toMatchObject({
      code: 0,
      stdout: 'box of sale rush has nothing left\n',
    })
    const back = await read('sale', 'transfer', 'tour', 'stand', 'rush', 'box')
    expect(back).toMatchObject({ outcome: 'changed', tickets: 26 })
    expect(await fareOf('rush', 'box')).toMatchObject({ stock: 28, remaining: 26 })
    await expectWhole('rush', 'tour')
  })

  it.each([
    [1, 'no_such_sale', ['nope', 'seat', 'tour', 'stand']],
    [1, 'no_such_sale', ['rush', 'seat', 'nope', 'stand']],
    [1, 'no_such_fare', ['rush', 'nope', 'tour', 'stand']],
    [1, 'no_such_fare', ['rush', 'seat', 'tour', 'nope']],
    [2, 'usage', ['rush', 'seat', 'rush', 'seat']],
    [2, 'usage', ['rush', 'seat', 'tour']],
    [2, 'usage', ['rush', 'seat', '..', 'stand']],
  ])('exits %d, %s: %j', async (code, error, args) => {
    await expectRefused(code, error, 'sale', 'transfer', ...args)
  })
})

interface Exported {
  readonly id: string
  readonly buyer: string
  readonly fareId: string
  readonly quantity: number
  readonly state: string
}

/** Rows of cells, by RFC 4180. */
function cellsOf(csv: string): string[][] {
  expect(csv.endsWith('\r\n')).toBe(true)
  return csv
    .slice(0, -2)
    .split('\r\n')
    .map((line) => {
      const cells = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)]
      return cells.map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '')
    })
}

async function exportCsv(saleId: string): Promise<{ head: string; orders: Exported[] }> {
  const { code, stdout } = await typed('sale', 'export', saleId)
  expect(code).toBe(0)
  const [head = [], ...rows] = cellsOf(stdout)
  const at = (row: readonly string[], column: string): string => row[head.indexOf(column)] ?? ''
  const orders = rows.map((row) => ({
    id: at(row, 'id'),
    buyer: at(row, 'buyer'),
    fareId: at(row, 'fareId'),
    quantity: Number(at(row, 'quantity')),
    state: at(row, 'state'),
  }))
  return { head: head.join(), orders }
}

function idsOf(history: History): string[] {
  return history.flatMap(({ attempts }) => attempts.at(-1)?.orderId ?? [])
}

describe('sale export', () => {
  it('tells each order once, in both forms, while selling goes on; in the end all of them', async () => {
    const buyers = await cluster.tokens(SEATS)
    const rush = new Rush(
      buyers.map((buyer) => wishOf(buyer)),
      { target: () => cluster.view.url, concurrency: 24 },
    )
    const selling = rush.run()
    let before = 0
    let exports = 0
    while (!rush.isOver) {
      const { orders } = exports % 2 === 0 ? await exportCsv('rush') : { orders: await exportJson('rush') }
      exports += 1
      expect(new Set(orders.map(({ id }) => id)).size).toBe(orders.length)
      expect(orders.length).toBeGreaterThanOrEqual(before)
      before = orders.length
    }
    expect(exports).toBeGreaterThan(0)
    const ids = idsOf(await selling)
    expect(ids).toHaveLength(SEATS)
    await until('the ledger to have every order', async () => {
      return (await cluster.audit()).fares.every(({ ledgerPending }) => ledgerPending === 0)
    })
    const [csv, json] = [await exportCsv('rush'), await exportJson('rush')]
    // What a process of its own writes into a pipe is whole.
    expect((await plain('sale', 'export', 'rush')).stdout.split('\r\n')).toHaveLength(csv.orders.length + 2)
    expect((await cluster.farebox('sale', 'export', 'rush')).json).toMatchObject({ items: { length: json.length } })
    expect(csv.orders).toEqual(
      json.map(({ id, buyer, fareId, quantity, state }) => ({ id, buyer, fareId, quantity, state })),
    )
    const seats = csv.orders.filter(({ fareId }) => fareId === 'seat')
    expect(seats.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    expect(csv.head).toBe(
      'id,saleId,fareId,buyer,quantity,state,reason,createdAt,holdExpiresAt,paidAt,releasedAt,amount,currency',
    )
    await expectWhole('rush')
  })

  it('gives a spreadsheet no formula, whatever a buyer is called', async () => {
    const name = '=HYPERLINK("http://x",1)'
    await bought(name, 'box')
    const order = await until('the order in the export', async () =>
      (await exportCsv('rush')).orders.find(({ buyer }) => buyer.includes('HYPERLINK')),
    )
    expect(order.buyer).toBe(`'${name}`)
    expect((await exportJson('rush')).map(({ buyer }) => buyer)).toContain(name)
  })

  it.each([
    [1, 'no_such_sale', ['nope']],
    [2, 'usage', ['rush', '--format', 'xml']],
    [2, 'usage', ['../rush']],
  ])('exits %d, %s: %j', async (code, error, args) => {
    await expectRefused(code, error, 'sale', 'export', ...args)
  })

  it('is one JSON document with --json, which CSV is not', async () => {
    expect((await typed('sale', 'export', 'rush', '--format', 'csv', '--json')).code).toBe(2)
    expect(await read('sale', 'export', 'draft')).toEqual({ items: [] })
  })
})

async function exportJson(saleId: string): Promise<Exported[]> {
  return (await read<{ items: Exported[] }>('sale', 'export', saleId)).items
}

describe('order', () => {
  it('shows and explains a held one, cancels it once, and its tickets come back', async () => {
    const id = await bought('carol', 'box', 3)
    const { remaining } = await fareOf('rush', 'box')
    const shown = await plain('order', 'show', id)
    expect(shown).toMatchObject({ code: 0, stderr: '' })
    expect(shown.stdout.split('\n').slice(0, 2)).toEqual([`order ${id}: held`, '3 of box in sale rush, buyer carol'])
    expect(shown.stdout).toContain('total 3600 EUR')
    const explained = await plain('explain', id)
    expect(explained.stdout).toMatch(new RegExp(`^order ${id}\nbuyer carol: 3 of box in sale rush\n`))
    expect(explained.stdout).toContain('held: may be paid until')

    await expectRefused(2, 'needs_yes', 'order', 'cancel', id)
    await expectRefused(1, 'not_paid', 'order', 'refund', id, '--yes')
    expect(await stateOf(id)).toBe('held')
    const cancelled = await plain('order', 'cancel', id, '--yes')
    expect([cancelled.code, cancelled.stdout.split('\n')[0]]).toEqual([0, `order ${id}: released (cancelled)`])
    expect(await fareOf('rush', 'box')).toMatchObject({ remaining: remaining + 3 })
    const again = await read('order', 'cancel', id, '--yes')
    expect(again).toMatchObject({ outcome: 'unchanged', order: { id, reason: 'cancelled' } })
    expect((await typed('explain', id)).stdout).toContain('released: it was cancelled; its tickets went back')
    await expectWhole('rush')
  })

  it('refunds a paid one once, tickets and money together; a paid one is not cancelled', async () => {
    const id = await bought('dave', 'box', 2)
    await pay(id, 'dave')
    const { remaining } = await fareOf('rush', 'box')
    expect((await typed('explain', id)).stdout).toContain('\npaid at ')
    await expectRefused(1, 'already_paid', 'order', 'cancel', id, '--yes')
    await expectRefused(2, 'needs_yes', 'order', 'refund', id)
    expect(await stateOf(id)).toBe('paid')
    const refunded = await plain('order', 'refund', id, '--yes')
    expect([refunded.code, refunded.stdout.split('\n')[0]]).toEqual([0, `order ${id}: released (refunded)`])
    const again = await read('order', 'refund', id, '--yes')
    expect(again).toMatchObject({ outcome: 'unchanged', order: { reason: 'refunded' } })
    expect(await fareOf('rush', 'box')).toMatchObject({ remaining: remaining + 2 })
    await expectRefused(1, 'not_held', 'order', 'cancel', id, '--yes')
    expect((await typed('explain', id)).stdout).toContain('released: the money went back')
    await expectWhole('rush')
  })

  it.each([['order', 'show'], ['order', 'cancel', '--yes'], ['order', 'refund', '--yes'], ['explain']])(
    'that nobody knows is refused by name: %s %s',
    async (...command) => {
      for (const id of [NOBODY, 'nonsense', '..', 'a/b?c']) {
        await expectRefused(
          1,
          'no_such_order',
          ...command.filter((one) => one !== '--yes'),
          id,
          ...command.filter((one) => one === '--yes'),
        )
      }
    },
  )
})

interface Balanced {
  readonly outcome: string
  readonly path: string
  readonly config: string
  readonly isRunning: boolean
}

/** The record's version goes on where that changes nothing for nginx. */
function unversioned(config: string): string {
  return config
    .replaceAll(/"era":\d+,"seq":\d+/g, 'VERSION')
    .replaceAll(/closing-\d+\.\d+/g, 'closing-VERSION')
    .replaceAll(/"\d+\.\d+"/g, 'VERSION')
}

describe('loadbalancer', () => {
  it('renders what nginx does, and has nothing to apply where the coordinator did; elsewhere it writes it', async () => {
    const { nginx } = cluster.view
    const rendered = await read<Balanced>('loadbalancer', 'render')
    expect(rendered.path).toBe(nginx.config)
    for (const { url } of cluster.view.nodes) expect(rendered.config).toContain(`server ${new URL(url).host}`)
    expect(unversioned(rendered.config)).toBe(unversioned(readFileSync(nginx.config, 'utf8')))
    expect(await read<Balanced>('loadbalancer', 'apply')).toMatchObject({ outcome: 'unchanged', isRunning: true })

    const place = [
      '--nginx-dir',
      join(cluster.space.root, 'edge'),
      '--listen',
      '127.0.0.1:8099',
      '--status-port',
      '8098',
    ]
    const there = await read<Balanced>('loadbalancer', 'apply', ...place)
    expect(there).toMatchObject({ outcome: 'applied', isRunning: false })
    const text = readFileSync(there.path, 'utf8')
    expect(text).toContain('listen 127.0.0.1:8099')
    expect(text).toBe((await read<Balanced>('loadbalancer', 'render', ...place)).config)
  })

  it('refuses a plan that is older than the one nginx has, with its version', async () => {
    const path = join(dirname(cluster.view.nginx.config), 'applied.json')
    const applied = readFileSync(path, 'utf8')
    const newest = { era: 999, seq: 1 }
    try {
      writeFileSync(path, JSON.stringify({ ...(JSON.parse(applied) as object), version: newest }))
      const refused = await typed('loadbalancer', 'apply', '--json')
      expect(refused.code).toBe(1)
      expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'outdated', details: { version: newest } } })
    } finally {
      writeFileSync(path, applied)
    }
  })
})

describe('plan and config show', () => {
  it('answer for this machine: what a death costs, computed and tried; every setting and where it comes from', async () => {
    const { computed, simulated } = await read<{ computed: object; simulated: { seeds: number } }>(
      'plan',
      ...'--stock 2000 --nodes 4 --kill 1 --seeds 5'.split(' '),
    )
    expect(computed).toMatchObject({ delayMs: expect.any(Number) as unknown })
    expect(simulated).toMatchObject({ delayMs: expect.any(Number) as unknown, seeds: 5 })
    const { items } = await read<{ items: { path: string; value: unknown; source: string }[] }>('config', 'show')
    const of = (path: string) => items.find((item) => item.path === path)
    expect(of('redis.url')).toMatchObject({ value: cluster.view.redis.url, source: 'file' })
    expect(of('deadAfterMs')).toMatchObject({ value: 1500, source: 'default' })
    const secret = readFileSync(join(cluster.dir, 'identity.secret'), 'utf8').trim()
    expect((await typed('config', 'show')).stdout).not.toContain(secret)
  })
})

/** One process in the foreground, as a machine's service manager runs it. */
async function started(...args: string[]): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(FAREBOX, ['run', ...args, '--dir', cluster.dir, '--json'])
  let said = ''
  child.stdout.on('data', (chunk) => (said += String(chunk)))
  const url = await until('its address', () => /"url":"(http:[^"]*)"/.exec(said)?.[1])
  return { child, url }
}

async function ended(child: ChildProcess): Promise<number | null> {
  child.kill('SIGTERM')
  await until('its end', () => child.exitCode !== null || child.signalCode !== null)
  return child.exitCode
}

describe('run node', () => {
  it('joins the fleet and sells; ended, it leaves in good order', async () => {
    const { child, url } = await started('node', '--id', 'n9', '--port', '0', '--admin-port', '0')
    try {
      const stateOfNode = async (): Promise<string | undefined> =>
        (await read<{ items: { id: string; state: string }[] }>('nodes')).items.find(({ id }) => id === 'n9')?.state
      await until('it to be in the fleet', async () => (await stateOfNode()) === 'live')
      const buyer = { buyer: 'nina', token: await tokenOf('nina') }
      let heard: unknown = null
      await until('it to sell', async () => {
        const { status, code } = await buyOnce(wishOf(buyer, { fareId: 'box' }), url)
        heard = [status, code]
        return status === 201
      }).catch((cause: unknown) => Promise.reject(new Error(`it said ${String(heard)}`, { cause })))
      expect(await ended(child)).toBe(0)
      expect(await stateOfNode()).toBe('drained')
    } finally {
      child.kill('SIGKILL')
    }
  })
})

describe('while no orders process answers', () => {
  it('an order is shown from the store, and the audit says what it could not see', async () => {
    const id = await bought('frank', 'box')
    const pid = cluster.pids().get('o1') ?? 0
    process.kill(pid, 'SIGKILL')
    await untilGone([pid])
    expect(await stateOf(id)).toBe('held')
    await expectRefused(1, 'no_orders', 'order', 'cancel', id, '--yes')
    await expectRefused(1, 'no_orders', 'sale', 'export', 'rush')
    const { ok, fares, problems } = await cluster.audit()
    expect(ok).toBe(false)
    expect((await typed('audit', 'rush')).stdout).toMatch(/ledger_away: .*\nmoney_unknown: .*\nNOT ok: 2 problems\n$/)
    expect(fares[0]).toMatchObject({ ledgerHeld: null, ledgerPaid: null, ledgerPending: null, diff: 0 })
    expect(problems.map(({ rule }) => rule)).toEqual(['ledger_away', 'money_unknown'])
  })

  it('one that is run by hand takes its place', async () => {
    const { child } = await started('orders', '--id', 'o1', '--port', '0', '--admin-port', '0')
    try {
      await until('the audit to hold again', async () => (await cluster.audit()).ok)
      expect(await ended(child)).toBe(0)
    } finally {
      child.kill('SIGKILL')
    }
  })
})
