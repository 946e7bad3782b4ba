/** docs/commands.md against the commands that there are and the end-to-end tests that there are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { withCommands } from './program.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const END_TO_END = join(ROOT, 'e2e')

interface Row {
  readonly command: string
  readonly file: string
  readonly test: string
}

const ROWS: readonly Row[] = readFileSync(join(ROOT, 'docs', 'commands.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, command, file, test] = /^\| `([^`]+)` +\| `([^`]+)` +\| (.+?) +\|$/.exec(line) ?? []
    return command === undefined || file === undefined || test === undefined ? [] : [{ command, file, test }]
  })

function leaves(command: Command = withCommands(new Command('farebox')), path: readonly string[] = []): string[] {
  if (command.commands.length === 0) return [path.join(' ')]
  return command.commands.flatMap((sub) => leaves(sub, [...path, sub.name()]))
}

/** The test's own text, up to where the next one begins; null for none of that name. */
function bodyOf(text: string, test: string): string | null {
  const from = ["'", '"'].map((quote) => text.indexOf(`(${quote}${test}${quote},`)).find((place) => place >= 0)
  if (from === undefined) return null
  const rest = text.slice(from + 1)
  const next = /\n *(?:it|describe)(?:\.each)?\(/.exec(rest)
  return next === null ? rest : rest.slice(0, next.index)
}

/** A function or method, with its name and all of its text. */
const HELPER =
  /\n( *)(?!describe|it\b|if|for|while|before|after|expect)(?:static )?(?:async )?(?:function )?(\w+)\([^\n]*\{\n[\s\S]*?\n\1\}\n/g

/** What a helper of this name does, in the same file or for all of them. */
function helpers(text: string): Map<string, string> {
  const shared = readFileSync(join(END_TO_END, 'cluster.ts'), 'utf8')
  const found = new Map<string, string>()
  for (const source of [shared, text]) {
    for (const each of source.matchAll(HELPER)) {
      found.set(each[2] ?? '', each[0])
    }
  }
  return found
}

/** Whether it types the command, itself or in a helper that it calls (or one that this one calls). */
function runs(command: string, body: string, known: ReadonlyMap<string, string>, depth = 3): boolean {
  const words = command.split(' ').map((word) => `'${word}'`)
  if (body.includes(words.join(', ')) || new RegExp(`farebox(\\}')? ${command}\\b`).test(body)) return true
  // `run` is typed by the helper that starts a process.
  const [first, second = ''] = words
  if (first === "'run'" && body.includes(`started(${second}`)) return true
  if (depth === 0) return false
  const called = new Set([...body.matchAll(/\b(\w+)\(/g)].map((match) => match[1] ?? ''))
  return [...called].some((name) => {
    const helper = known.get(name)
    return helper !== undefined && helper !== body && runs(command, helper, known, depth - 1)
  })
}

describe('the table of commands', () => {
  it('has each command once, and no other', () => {
    expect(ROWS.map(({ command }) => command).toSorted()).toEqual(leaves().toSorted())
  })

  it.each(ROWS)('$command is run by the test that it names', ({ command, file, test }) => {
    const text = readFileSync(join(END_TO_END, file), 'utf8')
    const body = bodyOf(text, test)
    expect(body, `${file} has no test "${test}"`).not.toBeNull()
    expect(runs(command, body ?? '', helpers(text)), `"${test}" does not run "farebox ${command}"`).toBe(true)
  })

  it('is not content with a name that is gone, or a test of something else', () => {
    const text = readFileSync(join(END_TO_END, 'desk.e2e.test.ts'), 'utf8')
    expect(bodyOf(text, 'was never written')).toBeNull()
    const body = bodyOf(text, 'one that is run by hand takes its place') ?? ''
    expect(runs('run orders', body, helpers(text))).toBe(true)
    expect(runs('sale transfer', body, helpers(text))).toBe(false)
  })
})
