import { describe, expect, it } from 'vitest'
import { assembleScript, SCRIPT_NAMES } from './scripts.ts'

describe('assembled scripts', () => {
  it.each(SCRIPT_NAMES)('%s is the text last reviewed', (name) => {
    expect(assembleScript(name)).toMatchSnapshot()
  })

  it('leave no include unresolved', () => {
    for (const name of SCRIPT_NAMES) expect(assembleScript(name)).not.toContain('@include')
  })
})
