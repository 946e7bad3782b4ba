import { describe, expect, it } from 'vitest'
import { loadConfig } from '../config/load.ts'
import { giveWay } from './give-way.ts'

/** The niceness of a process that was started with one, after it gave way. */
function niceAfter(environment: Readonly<Record<string, string>>, startedWith = 0): number {
  const loaded = loadConfig({ environment: { FAREBOX_IDENTITY_SECRET: 'x'.repeat(32), ...environment } })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults))
  let nice = startedWith
  giveWay(loaded.value.config, {
    getPriority: () => nice,
    setPriority(_thread, asked) {
      nice = asked
    },
    threads: () => [1],
  })
  return nice
}

describe('the orders process', () => {
  it('gives way to the rush path, as far as it is told', () => {
    expect(niceAfter({})).toBe(5)
    expect(niceAfter({ FAREBOX_ORDERS_NICE: '12' })).toBe(12)
    expect(niceAfter({ FAREBOX_ORDERS_NICE: '0' })).toBe(0)
  })

  it('does not push ahead of what whoever started it wanted', () => {
    expect(niceAfter({}, 10)).toBe(10)
  })

  it('does not where buyers wait for the ledger', () => {
    const url = 'postgres://farebox@127.0.0.1/farebox'
    expect(niceAfter({ FAREBOX_ACK: 'ledger', FAREBOX_LEDGER_URL: url })).toBe(0)
  })
})
