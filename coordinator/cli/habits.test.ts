/** What every command has in common: help with examples, completion, a cluster that is down, output that fits. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { completionScript } from './completion.ts'
import { limitFindings } from './doctor.ts'
import { EXAMPLES } from './examples.ts'
import { runCli, withCommands } from './program.ts'
import { table } from './table.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'farebox-habits-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

async function farebox(...argv: string[]) {
  let stdout = ''
  let stderr = ''
  const exitCode = await runCli(argv, {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    interactive: false,
    colours: false,
  })
  return { exitCode, stdout, stderr }
}

/** `sale open`, `up`, …: what can be run. */
function leaves(command: Command = withCommands(new Command('farebox')), path: readonly string[] = []): string[] {
  if (command.commands.length === 0) return [path.join(' ')]
  return command.commands.flatMap((sub) => leaves(sub, [...path, sub.name()]))
}

describe('every command', () => {
  it.each(leaves())('%s has help with an example that begins with its own name', async (path) => {
    const { exitCode, stdout } = await farebox(...path.split(' '), '--help')
    expect(exitCode).toBe(0)
    expect(stdout).toContain('Examples:')
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
    for (const example of EXAMPLES[path] ?? [])
      expect(example.split(' ').slice(0, path.split(' ').length).join(' ')).toBe(path)
  })
})

/** What each command that asks a cluster needs to get as far as asking. */
const ASKING: readonly (readonly string[])[] = [
  ['status'],
  ['nodes'],
  ['sale', 'list'],
  ['sale', 'show', 'demo'],
  ['sale', 'open', 'demo'],
  ['sale', 'pause', 'demo'],
  ['sale', 'close', 'demo', '--yes'],
  ['sale', 'recover', 'demo', '--yes'],
  ['node', 'add'],
  ['node', 'start', 'n1'],
  ['node', 'drain', 'n1'],
  ['node', 'resume', 'n1'],
  ['node', 'weight', 'n1', '2'],
  ['roll'],
  ['quota', 'demo'],
  ['rebalance', 'demo', '--dry-run'],
  ['rebalance', 'demo', '--weights', 'n1=2'],
  ['audit', 'demo'],
  ['order', 'show', 'x'],
  ['order', 'cancel', 'x', '--yes'],
  ['order', 'refund', 'x', '--yes'],
  ['explain', 'x'],
  ['sale', 'stock', 'demo', 'second', '--set', '5'],
  ['sale', 'transfer', 'demo', 'second', 'other', 'second'],
  ['sale', 'export', 'demo'],
  ['events'],
  ['events', '--follow'],
  ['logs'],
]

describe('a cluster that is down', () => {
  it.each(ASKING)('%s %s %s %s says so with exit 3 within two seconds, where there is none', async (...argv) => {
    const startMs = performance.now()
    const said = await farebox(
      ...argv.filter((part) => typeof part === 'string'),
      '--dir',
      join(directory, 'none'),
      '--json',
    )
    expect(performance.now() - startMs).toBeLessThan(2000)
    expect(said.exitCode, said.stdout).toBe(3)
    expect(JSON.parse(said.stdout)).toMatchObject({ error: { code: expect.any(String) as unknown } })
  })

  it.each(
    ASKING.filter(([first, second]) => first !== 'logs' && first !== 'roll' && second !== 'add' && second !== 'start'),
  )('%s %s %s %s says so within two seconds, where a remote one does not answer', async (...argv) => {
    const startMs = performance.now()
    const remote = ['--admin', 'http://127.0.0.1:1', '--token-file', '/dev/null']
    const said = await farebox(...argv.filter((part) => typeof part === 'string'), ...remote, '--json')
    expect(performance.now() - startMs).toBeLessThan(2000)
    expect(said.exitCode, said.stdout).toBe(3)
  })
})

describe('tables', () => {
  const rows = [
    ['n1', 'live', 12_345_678, 'http://a-host-with-a-very-long-name.example:12345'],
    ['n2', 'draining', 7, null],
  ]

  it('fit the terminal by cutting the widest text, never a number', () => {
    for (const width of [80, 60, 50, 44]) {
      const text = table(['NODE', 'STATE', 'SOLD', 'URL'], rows, width)
      for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width)
      expect(text).toContain('12345678')
    }
    expect(table(['NODE', 'STATE', 'SOLD', 'URL'], rows, 50)).toContain('…')
  })

  it('are whole where no terminal is', () => {
    expect(table(['NODE', 'STATE', 'SOLD', 'URL'], rows, Infinity)).toContain('very-long-name.example:12345')
  })
})

function complete(...words: string[]): string[] {
  const script = completionScript(withCommands(new Command('farebox')), 'bash')
  const path = join(directory, 'completion.bash')
  writeFileSync(path, script)
  const list = words.map((word) => `'${word}'`).join(' ')
  const ask = `source ${path}; COMP_WORDS=(farebox ${list}); COMP_CWORD=${words.length}; _farebox; printf '%s\\n' "\${COMPREPLY[@]}"`
  const run = spawnSync('bash', ['--norc', '-c', ask], { encoding: 'utf8' })
  return run.stdout.split('\n').filter((line) => line !== '')
}

describe('completion', () => {
  it('knows the commands, the commands below them, and their options', () => {
    expect(complete('st')).toEqual(['status'])
    expect(complete('node', '')).toEqual(expect.arrayContaining(['add', 'start', 'drain', 'resume', 'weight']))
    expect(complete('node', 'drain', 'n1', '--f')).toEqual(['--force'])
    expect(complete('rebalance', 'demo', '--d')).toEqual(['--dry-run'])
    expect(complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh']))
  })

  it('of another shell is refused', async () => {
    expect((await farebox('completion', 'fish')).exitCode).toBe(2)
  })
})

describe('doctor', () => {
  const good = { openFiles: 65_536, somaxconn: 4096, overcommit: 1, hugePages: 'madvise', cores: 8 }

  it('is content with a machine that is set up', () => {
    expect(limitFindings(good).map(({ verdict }) => verdict)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok'])
  })

  it('advises, calls too few open files wrong, and what it cannot read unknown', () => {
    const poor = { openFiles: 256, somaxconn: 128, overcommit: 0, hugePages: 'always', cores: 1 }
    expect(limitFindings(poor).map(({ verdict }) => verdict)).toEqual(['wrong', 'advice', 'advice', 'advice', 'advice'])
    for (const { advice } of limitFindings(poor)) expect(advice).not.toBe('')
    const blind = { openFiles: null, somaxconn: null, overcommit: null, hugePages: null, cores: 4 }
    expect(
      limitFindings(blind)
        .map(({ verdict }) => verdict)
        .slice(0, 4),
    ).toEqual(Array(4).fill('unknown'))
  })
})

describe('plan', () => {
  const asked = ['plan', '--stock', '10000', '--nodes', '100', '--kill', '5', '--seeds', '5', '--dir', '/nonexistent']

  it('computes, tries, and shows both with their difference', async () => {
    const said = await farebox(...asked, '--buffer', '5', '--json')
    const result = JSON.parse(said.stdout) as {
      covers: boolean
      advice: { covering: number }
      computed: { delayMs: number }
      simulated: { delayMs: number; seeds: number }
      difference: { delayMs: number }
    }
    expect(said.exitCode).toBe(0)
    expect([result.covers, result.advice.covering, result.simulated.seeds]).toEqual([false, 6, 5])
    expect(result.difference.delayMs).toBeCloseTo(result.computed.delayMs - result.simulated.delayMs)
    expect((await farebox(...asked, '--buffer', '6')).stdout).toMatch(
      /6 make the quotas of 95 nodes .*; 6 tickets do$/m,
    )
  })

  it.each([
    ['--kill', '100'],
    ['--buffer', '0'],
    ['--rate', 'fast'],
    ['--at', '10001'],
  ])('refuses %s %s', async (option, value) => {
    expect((await farebox(...asked, option, value)).exitCode).toBe(2)
  })
})
