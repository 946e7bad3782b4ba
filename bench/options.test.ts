import { describe, expect, it } from 'vitest'
import { readOptions } from './options.ts'

describe('the options of the bench', () => {
  it('have a default of their own, or that of what is run', () => {
    const options = readOptions(['set', 'full'])
    expect(options.words).toEqual(['set', 'full'])
    expect([options.number('pairs'), options.number('seconds', 5), options.scale(0.1)]).toEqual([7, 5, 0.1])
    expect(options.only(['a'])).toEqual([])
    expect(readOptions(['--seconds', '9', '--scale=2']).number('seconds', 5)).toBe(9)
  })

  it.each([
    [['--rounds', '0'], /--rounds 0: a whole number/],
    [['--rounds', '1.5'], /--rounds 1.5/],
    [['--rounds', 'many'], /--rounds many/],
    [['--scale', '0'], /--scale 0/],
    [['--scale', 'x'], /--scale x/],
    [['--only', 'rush,nothing'], /--only nothing: there are rush/],
    [['--speed', '9'], /--speed/],
  ])('%j is told, not run', (args, told) => {
    const read = (): unknown => {
      const options = readOptions(args)
      return [options.number('rounds', 1), options.scale(1), options.only(['rush'])]
    }
    expect(read).toThrow(told)
    expect(read).toThrow(expect.objectContaining({ name: 'UsageError' }) as Error)
  })
})
