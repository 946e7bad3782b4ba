import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { occurrences, plant } from './bundle.ts'
import { MUTANTS } from './mutants.ts'

const ROOT = dirname(dirname(import.meta.dirname))

describe('planted bugs', () => {
  it.each(MUTANTS)('$name fits $file', ({ file, find }) => {
    expect(occurrences(readFileSync(join(ROOT, file), 'utf8'), find)).toBe(1)
  })

  it('have names of their own, and there are enough', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length)
    expect(MUTANTS.length).toBeGreaterThanOrEqual(30)
  })

  it('fail loudly when their text is gone or stands twice', () => {
    const mutant = { name: 'x', file: 'f', find: 'a > b', replace: 'a >= b' }
    expect(plant('if (a > b)', mutant)).toBe('if (a >= b)')
    expect(() => plant('if (a < b)', mutant)).toThrow('0 times')
    expect(() => plant('a > b, a > b', mutant)).toThrow('2 times')
  })
})
