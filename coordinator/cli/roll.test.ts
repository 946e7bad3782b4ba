import { expect, it } from 'vitest'
import { StoreError } from '../../stock/port.ts'
import { CliError, EXIT } from './frame.ts'
import { patiently } from './roll.ts'

function failing(errors: Error[]): () => Promise<string> {
  return async () => {
    const error = errors.shift()
    if (error !== undefined) throw error
    return 'done'
  }
}

const away = (code: string): CliError => new CliError(EXIT.noCluster, code, 'away')

it('a roll waits out a Redis or a coordinator that is away for a moment', async () => {
  const timeout = new StoreError('timeout', 'unknown', 'Command timed out')
  expect(await patiently(failing([away('store_away'), timeout, away('no_cluster'), away('no_coordinator')]))).toBe(
    'done',
  )
})

it('and stops when it stays away, or at anything else', async () => {
  const forEver = Array.from({ length: 1000 }, () => away('store_away'))
  await expect(patiently(failing(forEver), 1)).rejects.toThrow('away')
  const refused = new CliError(EXIT.refused, 'unhealthy_node', 'unwell')
  await expect(patiently(failing([refused]))).rejects.toBe(refused)
})
