import { describe, expect, it } from 'vitest'
import { askMicro } from './main.ts'
import { orderId } from './order-id.ts'
import { nothingToEnd, type Question } from './question.ts'
import { batcher } from './batcher.ts'

function breaks(): void {
  throw new Error('it does')
}

describe('micro-benchmarks', () => {
  it('answer every question with a figure', async () => {
    const answers = await askMicro([batcher, orderId], 2)
    expect(answers.map(({ question }) => question)).toContain('order-id')
    for (const answer of answers) {
      expect(answer).toMatchObject({ fault: null })
      expect(answer.medianNs).toBeGreaterThan(0)
    }
  })

  it('give no figure for a task that breaks', async () => {
    const broken: Question = {
      name: 'broken',
      asks: 'Does it break?',
      async prepare() {
        return { tasks: [{ name: 'one', timesPerCall: 1, run: breaks }], end: nothingToEnd }
      },
    }
    expect(await askMicro([broken], 2)).toMatchObject([{ medianNs: null, p99Ns: null, fault: 'it does' }])
  })
})
