/** What an operator does to a running fleet, while buyers who never repeat a request go on buying. */
import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { request, Rush, type Purchase } from './client.ts'
import {
  Cluster,
  farebox as run,
  isRunning,
  runProgram,
  saleText,
  untilGone,
  type FleetNode,
  type NodeView,
} from './cluster.ts'
import { RealTerminal } from './real-terminal.ts'
import { HEALTHY, judge, say, wishOf, type Buyer } from './rush.ts'
import { SteadyLoad } from './steady-load.ts'
import { until } from './wait.ts'

const farebox = join(import.meta.dirname, '..', 'bin', 'farebox')
const STOCK = 9000
const BUYERS = 11_000
/** After the change in mid-sale. */
const STOCK_AT_LAST = 9200

/** A certificate for 127.0.0.1, valid for a century, and its key: no secret. */
function pem(name: 'cert' | 'key'): string {
  return join(import.meta.dirname, 'tls', `loopback-${name}.pem`)
}
/** Every command of this file goes over TLS, and trusts the certificate because it is the cluster's. */
const ADMIN_TLS = `admin: { certFile: ${pem('cert')}, keyFile: ${pem('key')} }\n`

let cluster: Cluster
let buyers: Buyer[]
/** All that any buyer of this file did. */
const history: Purchase[] = []

beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 4, sale: saleText({ seat: STOCK }), config: ADMIN_TLS })
  buyers = await cluster.tokens(BUYERS)
})
afterAll(() => cluster.end())

/** Does something while buyers come at a steady rate, and expects that each of them got what they wanted. */
async function underLoad<T>(perSecond: number, act: (load: SteadyLoad) => Promise<T>): Promise<T> {
  const { result, failed } = await SteadyLoad.during({ url: cluster.view.url, buyers, history }, perSecond, act)
  expect(failed).toEqual([])
  return result
}

async function stateOf(id: string): Promise<FleetNode | undefined> {
  return (await cluster.fleet()).find((node) => node.id === id)
}

/** How many requests nginx passed to each node since a mark in its log. */
function passedSince(mark: number): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of cluster.accessLog().slice(mark).split('\n')) {
    for (const node of cluster.view.nodes) {
      if (line.includes(new URL(node.url).host)) counts.set(node.id, (counts.get(node.id) ?? 0) + 1)
    }
  }
  return counts
}

describe('a rolling restart of four nodes', () => {
  it('fails no request of buyers who never repeat one, and strands no ticket', { timeout: 120_000 }, async () => {
    const before = cluster.pids()
    await underLoad(60, async (load) => {
      await until('purchases', () => load.attempts.length > 50)
      const roll = await cluster.farebox('roll')
      expect(roll.code, roll.stderr).toBe(0)
      say(`rolled under ${load.attempts.length} purchases: ${JSON.stringify(roll.json)}`)
    })
    for (const { id } of cluster.view.nodes) expect(cluster.pids().get(id), id).not.toBe(before.get(id))
    expect((await cluster.fleet()).map(({ state }) => state)).toEqual(['live', 'live', 'live', 'live'])
  })
})

interface NodeChange {
  readonly outcome: string
  readonly version: { readonly era: number; readonly seq: number }
}

describe('a node', () => {
  it('drains without losing a request, gets none then, and comes back', async () => {
    await underLoad(60, async (load) => {
      const drained = await cluster.farebox('node', 'drain', 'n2')
      expect(drained, drained.stderr).toMatchObject({
        code: 0,
        json: { outcome: 'changed', after: { state: 'draining' } },
      })
      expect((await stateOf('n2'))?.state).toBe('drained')
      const mark = cluster.accessLog().length
      const seen = load.attempts.length
      await until('purchases without it', () => load.attempts.length > seen + 40)
      expect(passedSince(mark).get('n2')).toBeUndefined()
      expect(await cluster.read('node', 'drain', 'n2')).toMatchObject({ outcome: 'unchanged' })

      expect(await cluster.read('node', 'resume', 'n2')).toMatchObject({ outcome: 'changed', applied: true })
      const back = cluster.accessLog().length
      await until('purchases with it', () => passedSince(back).has('n2'))
    })
  })

  it('gets the share of its weight, in nginx and in the quota', async () => {
    expect(await cluster.read('node', 'weight', 'n3', '3')).toMatchObject({ outcome: 'changed', applied: true })
    const mark = cluster.accessLog().length
    await underLoad(100, async (load) => {
      await until('purchases', () => load.attempts.length > 120)
    })
    const passed = passedSince(mark)
    const all = [...passed.values()].reduce((sum, count) => sum + count, 0)
    expect((passed.get('n3') ?? 0) / all).toBeCloseTo(3 / 6, 1)
    await until('the quota to follow', async () => {
      const { fares } = await cluster.read<{
        fares: { nodes: { id: string; weight: number; allowance: number }[] }[]
      }>('quota', 'rush')
      const nodes = fares[0]?.nodes ?? []
      const of = (id: string) => nodes.find((node) => node.id === id)
      return of('n3')?.weight === 3 && (of('n3')?.allowance ?? 0) > 2 * (of('n1')?.allowance ?? Infinity)
    })
    expect(await cluster.read('node', 'weight', 'n3', '1')).toMatchObject({ outcome: 'changed' })
  })

  it('is changed only at the version expected: an old plan is refused with the present one', async () => {
    const { version } = await cluster.read<NodeChange>('nodes')
    const expected = `${version.era}.${version.seq}`
    expect(await cluster.read('node', 'weight', 'n4', '2', '--expect', expected)).toMatchObject({ outcome: 'changed' })
    const again = await cluster.farebox('node', 'drain', 'n4', '--expect', expected)
    expect(again).toMatchObject({ code: 1, json: { error: { code: 'outdated', details: { expected: version } } } })
    const { version: present } = (again.json as { error: { details: { version: NodeChange['version'] } } }).error
      .details
    expect(present.seq).toBeGreaterThan(version.seq)
    expect((await stateOf('n4'))?.state).toBe('live')
    expect(await cluster.read('node', 'weight', 'n4', '1')).toMatchObject({ outcome: 'changed' })
  })

  it('that does not exist is refused with the near name, in words', async () => {
    const run = await cluster.farebox('node', 'drain', 'm1')
    expect(run).toMatchObject({ code: 1, json: { error: { code: 'no_such_node' } } })
    expect(JSON.stringify(run.json)).toContain('did you mean n1?')
  })
})

interface Rebalanced {
  readonly outcome: string
  readonly version: { readonly era: number; readonly seq: number }
  readonly before: { readonly nodes: readonly { readonly id: string; readonly weight: number }[] }
  readonly after: {
    readonly nodes: readonly {
      readonly id: string
      readonly weight: number
      readonly allowances: Record<string, number>
    }[]
  }
}

function weightsOf(nodes: readonly { readonly id: string; readonly weight: number }[]): string {
  return nodes.map(({ id, weight }) => `${id}=${weight}`).join(',')
}

describe('rebalance', () => {
  it('shows before and after, changes nothing in a dry run, then the shares while the sale sells', async () => {
    await underLoad(60, async (load) => {
      const asked = ['rebalance', 'rush', '--weights', 'n1=1,n2=5'] as const
      const dry = await cluster.read<Rebalanced>(...asked, '--dry-run')
      expect(dry.outcome).toBe('planned')
      expect([weightsOf(dry.before.nodes), weightsOf(dry.after.nodes)]).toEqual([
        'n1=1,n2=1,n3=1,n4=1',
        'n1=1,n2=5,n3=1,n4=1',
      ])
      expect(weightsOf((await cluster.read<Rebalanced>('rebalance', 'rush', '--dry-run')).before.nodes)).toBe(
        'n1=1,n2=1,n3=1,n4=1',
      )
      const expected = `${dry.version.era}.${dry.version.seq}`
      const done = await cluster.read<Rebalanced>(...asked, '--expect', expected)
      expect([done.outcome, weightsOf(done.after.nodes)]).toEqual(['changed', 'n1=1,n2=5,n3=1,n4=1'])
      const stale = await cluster.farebox(...asked, '--expect', expected)
      expect(stale).toMatchObject({
        code: 1,
        json: { error: { code: 'outdated', details: { version: done.version } } },
      })

      // The coordinator leaves an operator's shares alone, round after round.
      const seen = load.attempts.length
      await until('purchases', () => load.attempts.length > seen + 60)
      const later = await cluster.read<Rebalanced>('rebalance', 'rush', '--dry-run')
      expect(weightsOf(later.before.nodes)).toBe('n1=1,n2=5,n3=1,n4=1')
      expect(await cluster.read('rebalance', 'rush')).toMatchObject({ outcome: 'changed', after: { shares: null } })
    })
  })
})

describe('the admin API', () => {
  it('lets a viewer look and change nothing', async () => {
    const { adminUrl, dir } = cluster.view
    const asViewer = ['--admin', adminUrl, '--token-file', join(dir, 'viewer.token')]
    const trust = { NODE_EXTRA_CA_CERTS: pem('cert') }
    expect(statSync(join(dir, 'viewer.token')).mode & 0o777).toBe(0o600)
    expect((await run(dir, ['nodes', ...asViewer], trust)).code).toBe(0)
    expect(await run(dir, ['node', 'weight', 'n1', '9', ...asViewer], trust)).toMatchObject({
      code: 1,
      json: { error: { code: 'forbidden' } },
    })
    expect(await stateOf('n1')).toMatchObject({ weight: 1 })
  })

  it('writes down every change with who, when, before and after', async () => {
    const { items } = await cluster.read<{ items: { kind: string; text: string; at: string; data: unknown }[] }>(
      'events',
      '--changes',
      '--limit',
      '500',
    )
    const change = items.find(({ text }) => text === 'POST /admin/nodes/n3/weight: changed')
    expect(change?.data).toMatchObject({
      who: { role: 'operator', by: expect.stringContaining('@') as unknown, from: expect.any(String) as unknown },
      before: { weight: 1 },
      after: { weight: 3 },
    })
    expect(Date.parse(change?.at ?? '')).toBeGreaterThan(0)
    expect(items.some(({ text }) => text.includes('n4/drain: refused, outdated'))).toBe(true)
    const path = join(cluster.dir, 'audit-c1.jsonl')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).toContain('n3/weight: changed')
    const all = await cluster.read<{ items: { text: string }[] }>('events', '--limit', '500')
    expect(all.items.map(({ text }) => text)).toContain('node n2 was draining, is drained')
  })

  it('is not reached through nginx', async () => {
    for (const path of ['/admin/status', '/admin/nodes', '/metrics', '/state', '/healthz', '/api/admin/nodes']) {
      const reply = await request(cluster.view.url + path)
      expect([path, reply.status]).toEqual([path, 404])
    }
  })
})

describe('logs', () => {
  it('are shown by process and all together, and a wrong name gets a hint', async () => {
    const one = await cluster.read<{ items: { process: string; text: string }[] }>('logs', 'n1')
    expect(one.items.some(({ text }) => text.includes('"msg":"in the fleet"'))).toBe(true)
    const all = await cluster.read<{ items: { process: string }[] }>('logs', '--limit', '2000')
    expect(new Set(all.items.map(({ process }) => process)).size).toBeGreaterThan(4)
    expect(JSON.stringify((await cluster.farebox('logs', 'n11')).json)).toContain('did you mean n1?')
  })
})

describe('the command line', () => {
  it('ends in silence when nobody reads what it says', async () => {
    const pipe = `'${farebox}' status --dir '${cluster.dir}' | head -c 0; echo "exit \${PIPESTATUS[0]}"`
    const { stdout, stderr } = await runProgram('bash', ['-c', pipe])
    expect([stdout.trim(), stderr]).toEqual(['exit 0', ''])
  })

  it('says how the machine is, and that all is well', async () => {
    const doctor = await cluster.farebox('doctor')
    const { items } = doctor.json as { items: { what: string; found: string; verdict: string }[] }
    const of = (what: string) => items.find((item) => item.what === what)
    expect(of('redis-server')).toMatchObject({ verdict: 'ok', found: expect.stringMatching(/^\d+\./) as unknown })
    expect(of('nginx')?.verdict).toBe('ok')
    expect(of("clock against Redis's")?.verdict).toBe('ok')
    expect((await cluster.farebox('status')).code).toBe(0)
  })

  it('hints at the sale that was meant', async () => {
    expect(JSON.stringify((await cluster.farebox('sale', 'show', 'ruhs')).json)).toContain('did you mean rush?')
  })
})

describe('completion', () => {
  it.each(['bash --norc', 'zsh -f'])('completes in a real %s', async (shell) => {
    const [name = ''] = shell.split(' ')
    const terminal = new RealTerminal()
    const bin = dirname(farebox)
    await terminal.open(100, 30, `env PS1='> ' PATH='${bin}:${process.env['PATH'] ?? ''}' ${shell}`)
    const shows = (what: RegExp) => until(`${what} on the screen`, async () => what.test(await terminal.screen()))
    try {
      await shows(/^>/m)
      await terminal.type(`source <(farebox completion ${name}) && echo is $((40 + 2))`)
      await terminal.press('Enter')
      await shows(/^is 42/m)
      await terminal.type('farebox sa')
      await terminal.press('Tab')
      await shows(/^> farebox sale$/m)
      await terminal.type('sto')
      await terminal.press('Tab')
      await shows(/^> farebox sale stock$/m)
      await terminal.press('C-c')
      await terminal.type('farebox node drain n1 --f')
      await terminal.press('Tab')
      await shows(/^> farebox node drain n1 --force$/m)
    } finally {
      await terminal.close()
    }
  })
})

describe('watch', () => {
  it('fills a real terminal, follows its size, and leaves it as it was', async () => {
    await underLoad(50, async () => {
      const terminal = new RealTerminal()
      await terminal.open(110, 30, `'${farebox}' watch rush --dir '${cluster.dir}'; echo "left with $?"; cat`)
      try {
        const full = await until('rates on the screen', async () => {
          const screen = await terminal.screen()
          return /buys\/s {4}won [1-9]/.test(screen) && screen
        })
        for (const wanted of ['q quits', 'rush  open', 'of 9,000 left', 'no alarms', 'leader c1']) {
          expect(full).toContain(wanted)
        }
        for (const { id } of cluster.view.nodes) expect(full).toMatch(new RegExp(`^${id} +live`, 'm'))
        await terminal.resize(60, 12)
        const small = await until('the smaller screen', async () => {
          const screen = await terminal.screen()
          return screen.split('\n').every((line) => line.length <= 60) && screen.includes('q quits') && screen
        })
        expect(small).toContain('rush  open')
        await terminal.press('q')
        await until('the end', async () => (await terminal.screen()).startsWith('left with 0'))
      } finally {
        await terminal.close()
      }
    })
  })

  it('without a terminal says a line for each look', async () => {
    const args = ['watch', 'rush', '--count', '2', '--every', '0.3', '--dir', cluster.dir]
    const { code, stdout } = await runProgram(farebox, args)
    expect([code, stdout.trim().split('\n').length]).toEqual([0, 2])
    expect(stdout).toMatch(/rush open seat=\d+ won\/s=\S+ refused\/s=\S+ trouble\/s=0 .* nodes=4\/4$/m)
  })
})

/** A command that goes on, and what it has said so far. */
function follow(...args: string[]): { readonly child: ChildProcess; readonly said: () => string } {
  const child = spawn(farebox, [...args, '--dir', cluster.dir])
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  return { child, said: () => text }
}

describe('events --follow and logs -f', () => {
  it('tell what happens while they run', async () => {
    const events = follow('events', '--follow', '--json', '--limit', '1')
    const logs = follow('logs', 'c1', '-f', '--json', '--limit', '1')
    try {
      await until('the first event and the first line', () => events.said() !== '' && logs.said() !== '')
      const before = logs.said().length
      await cluster.read('node', 'weight', 'n1', '2')
      await until('the news', () => events.said().includes('node n1 weighed 1, weighs 2'))
      const line = await until('a line of the log', () =>
        logs
          .said()
          .slice(before)
          .split('\n')
          .find((one) => one.includes('weights set')),
      )
      expect(JSON.parse(line)).toMatchObject({ process: 'c1' })
      await cluster.read('node', 'weight', 'n1', '1')
    } finally {
      events.child.kill('SIGKILL')
      logs.child.kill('SIGKILL')
    }
  })
})

describe('what cannot be undone', () => {
  it('is shown and asked at a terminal, and refused without one unless it says --yes', async () => {
    const spare = cluster.space.file('spare.yaml', saleText({ seat: 7 }, { id: 'spare' }))
    await cluster.read('sale', 'create', spare)
    await cluster.read('sale', 'open', 'spare')
    const stateOfSpare = async (): Promise<unknown> =>
      (await cluster.read<{ state: string }>('sale', 'show', 'spare')).state
    for (const args of [
      ['sale', 'close', 'spare'],
      ['down', '--purge'],
    ]) {
      expect(await cluster.farebox(...args)).toMatchObject({ code: 2, json: { error: { code: 'needs_yes' } } })
      const terminal = new RealTerminal()
      await terminal.open(200, 30, `'${farebox}' ${args.join(' ')} --dir '${cluster.dir}'; echo "left with $?"; cat`)
      try {
        const asked = await until('the question', async () => {
          const screen = await terminal.screen()
          return screen.includes('[y/N]') && screen
        })
        // The stock of the sale that would end; the processes and sales that would go.
        for (const wanted of args[0] === 'sale' ? ['REMAINING', 'seat      7'] : ['runs: ', 'n1', 'sale spare: open']) {
          expect(asked).toContain(wanted)
        }
        await terminal.press('Enter')
        await until('the end', async () => (await terminal.screen()).includes('left with 1'))
      } finally {
        await terminal.close()
      }
    }
    expect(await stateOfSpare()).toBe('open')
    await cluster.read('sale', 'close', 'spare', '--yes')
    expect(await stateOfSpare()).toBe('closed')
  })
})

describe('a node that is added', () => {
  it('sells its share under load, and killed and started again sells as before', { timeout: 120_000 }, async () => {
    const added = await underLoad(60, async () => {
      const node = await cluster.read<NodeView>('node', 'add', '--weight', '2')
      expect(node).toMatchObject({ id: 'n5', weight: 2 })
      await until('requests for it', () => cluster.accessLog().includes(new URL(node.url).host))
      expect(await stateOf('n5')).toMatchObject({ state: 'live', weight: 2 })
      return node
    })
    const { host } = new URL(added.url)

    process.kill(added.pid, 'SIGKILL')
    await untilGone([added.pid])
    const dead = await until('its death', async () => {
      const found = await stateOf('n5')
      return found?.state === 'dead' && found
    })
    const mark = cluster.accessLog().length
    const started = await cluster.read<NodeView>('node', 'start', 'n5')
    expect(started).toMatchObject({ id: 'n5', url: added.url, weight: 2 })
    expect(isRunning(started.pid)).toBe(true)
    await underLoad(60, async () => {
      await until('requests for it again', () => cluster.accessLog().slice(mark).includes(host))
    })
    const back = await stateOf('n5')
    expect(back?.state).toBe('live')
    expect(back?.epoch).toBeGreaterThan(dead.epoch)
  })
})

describe('the stock', () => {
  it('is raised and lowered while buyers buy, and the audit holds after each', async () => {
    await underLoad(80, async (load) => {
      for (const stock of [STOCK + 500, STOCK - 700, STOCK_AT_LAST]) {
        const seen = load.attempts.length
        expect(await cluster.read('sale', 'stock', 'rush', 'seat', '--set', String(stock))).toMatchObject({
          outcome: 'changed',
        })
        const { ok, problems, fares } = await cluster.audit()
        expect([ok, problems]).toEqual([true, []])
        expect(fares).toMatchObject([{ stock, diff: 0 }])
        await until('purchases meanwhile', () => load.attempts.length > seen + 20)
      }
      const tooLow = await cluster.farebox('sale', 'stock', 'rush', 'seat', '--set', '1')
      expect(tooLow.code).toBe(1)
      expect((await cluster.audit()).fares).toMatchObject([{ stock: STOCK_AT_LAST }])
    })
  })
})

describe('after all that', () => {
  it('exactly the stock is sold, and no ticket is stranded anywhere', async () => {
    const rush = new Rush(
      buyers.splice(0).map((buyer) => wishOf(buyer)),
      { target: () => cluster.view.url },
    )
    history.push(...(await rush.run()))
    expect(await judge(cluster, history, { stock: { seat: STOCK_AT_LAST }, limit: 2, answers: HEALTHY })).toEqual([])
  })
})

/** `farebox version`, which asks nobody anything: what this machine needs at the moment to start any command. */
async function startMs(): Promise<number> {
  const beganMs = performance.now()
  await cluster.farebox('version')
  return performance.now() - beganMs
}

async function within2s(...args: string[]) {
  const slownessMs = await startMs()
  const beganMs = performance.now()
  const run = await cluster.farebox(...args)
  expect(performance.now() - beganMs, args.join(' ')).toBeLessThan(2000 + 2 * slownessMs)
  return run
}

describe('a coordinator that hangs', () => {
  it('is told within two seconds; looking goes on without it, and says that it is stale', async () => {
    const pid = cluster.view.coordinators[0]?.pid ?? 0
    process.kill(pid, 'SIGSTOP')
    try {
      await until('its lease to end', async () => (await within2s('nodes')).json, 5000)
      const stale = await until('the view to be stale', async () => {
        const { code, json } = await within2s('nodes')
        return code === 0 && (json as { isStale: boolean }).isStale && { json }
      })
      expect(stale.json).toMatchObject({ items: [{ id: 'n1', state: 'live', isHeard: true }, {}, {}, {}, {}] })
      const drain = await within2s('node', 'drain', 'n1')
      expect(drain).toMatchObject({ code: 3, json: { error: { code: 'no_coordinator' } } })
      expect((await within2s('sale', 'show', 'rush')).code).toBe(0)
      process.kill(cluster.view.redis.pid, 'SIGSTOP')
      try {
        const hung = await within2s('nodes')
        expect(hung).toMatchObject({ code: 3, json: { error: { code: 'no_cluster' } } })
        process.kill(pid, 'SIGCONT')
        const half = await within2s('nodes')
        expect(half.code).not.toBe(0)
      } finally {
        process.kill(cluster.view.redis.pid, 'SIGCONT')
      }
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await until('a leader', async () => (await cluster.farebox('node', 'weight', 'n1', '1')).code === 0)
  })
})

describe('the admin API over TLS', () => {
  it('is led by a coordinator elsewhere when this one dies, and the dead node no longer shows as live', async () => {
    const away = join(cluster.space.root, 'away')
    mkdirSync(away)
    for (const name of ['admin.token', 'viewer.token', 'identity.secret']) {
      copyFileSync(join(cluster.dir, name), join(away, name))
    }
    copyFileSync(join(cluster.dir, 'config.yaml'), join(away, 'config.yaml'))
    const trust = { NODE_EXTRA_CA_CERTS: pem('cert') }
    const c2 = spawn(farebox, ['run', 'coordinator', '--id', 'c2', '--dir', away, '--json'])
    let said = ''
    c2.stdout.on('data', (chunk) => (said += String(chunk)))
    try {
      const url = await until('its address', () => /"adminUrl":"(https:[^"]*)"/.exec(said)?.[1])
      const remote = ['--admin', url, '--token-file', join(away, 'admin.token')]
      // It follows, and shows the way to the one that leads.
      expect(await run(cluster.dir, ['nodes', ...remote], trust)).toMatchObject({ code: 0, json: { isStale: false } })
      // Who does not know the certificate, or has no token, gets nowhere; nor does anybody in the clear.
      expect((await run(cluster.dir, ['nodes', ...remote])).code).toBe(3)
      expect((await run(cluster.dir, ['nodes', '--admin', url, '--token-file', '/dev/null'], trust)).code).toBe(1)
      expect((await run(cluster.dir, ['nodes', '--admin', url.replace('https', 'http')], trust)).code).toBe(3)

      const [pid, victim] = [cluster.view.coordinators[0]?.pid ?? 0, cluster.pids().get('n4') ?? 0]
      for (const one of [pid, victim]) process.kill(one, 'SIGKILL')
      await until('the new leader to declare the death', async () => {
        const { code, json } = await run(cluster.dir, ['nodes', ...remote], trust)
        const { items = [] } = json as { items?: FleetNode[] }
        return code === 0 && items.find(({ id }) => id === 'n4')?.state === 'dead'
      })
      const big = await run(cluster.dir, ['node', 'weight', 'n1', '3', ...remote], trust)
      expect(big).toMatchObject({ code: 0, json: { outcome: 'changed', after: { weight: 3 } } })
    } finally {
      c2.kill('SIGTERM')
      await until('its end', () => c2.exitCode !== null || c2.signalCode !== null)
    }
  })

  it('is not spoken in the clear on another address', async () => {
    const args = ['run', 'coordinator', '--id', 'c3']
    const inTheClear = { FAREBOX_ADMIN_HOST: '0.0.0.0', FAREBOX_ADMIN_CERT_FILE: '', FAREBOX_ADMIN_KEY_FILE: '' }
    const run3 = await run(cluster.dir, args, inTheClear)
    expect(run3).toMatchObject({ code: 2, json: { error: { code: 'bad_config' } } })
    expect(JSON.stringify(run3.json)).toContain('admin.certFile')
  })
})

describe('a node that dies while no coordinator lives', () => {
  it('shows for how long it has been silent, by Redis’s clock', async () => {
    process.kill(cluster.pids().get('n3') ?? 0, 'SIGKILL')
    const silent = await until('its silence to show', async () => {
      const { isStale, items } = await cluster.read<{
        isStale: boolean
        items: { id: string; state: string; isHeard: boolean; silentMs: number }[]
      }>('nodes')
      const node = items.find(({ id }) => id === 'n3')
      return isStale && node?.isHeard === false && node
    })
    expect(silent.silentMs).toBeGreaterThan(1500)
    const { stdout } = await runProgram(join(import.meta.dirname, '..', 'bin', 'farebox'), [
      'nodes',
      '--dir',
      cluster.dir,
    ])
    expect(stdout).toMatch(/^stale: no coordinator leads/)
    expect(stdout).toMatch(/^n3 +live, silent \d+\.\d s/m)
    expect(stdout).toMatch(/^n1 +live +/m)
  })
})
