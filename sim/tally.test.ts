import { expect, it } from 'vitest'
import { Tally } from './tally.ts'

it('tells how many sales come to a minute, and to a minute of a core, whatever ran beside the threads', () => {
  const tally = new Tally()
  for (let seed = 1; seed <= 100; seed += 1) tally.add({ seed, error: 'stumbled' })
  const [wall, processor] = tally.lines({ elapsedMs: 2000, processorMs: 5000, threads: 2 })
  expect(wall).toBe('sales: 100 in 2.0 s, 3000 a minute with 2 threads')
  expect(processor).toBe('processor time: 5.0 s, 1200 sales a minute and core')
})
