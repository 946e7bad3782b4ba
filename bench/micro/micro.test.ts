import { describe, expect, it } from 'vitest'
import { askMicro } from './main.ts'
import { orderId } from './order-id.ts'
import type { Question } from './question.ts'
import { quota } from './quota.ts'
import { tokenCheck } from './token-check.ts'
import { batcher } from './batcher.ts'

describe('micro-benchmarks', () => {
  it('answer every question with a figure', async () => {
    const answers = await askMicro([quota, batcher, tokenCheck, orderId], 2)
    expect(answers.map(({ question }) => question)).toContain('batcher')
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
        const run = (): void => {
          throw new Error('it does')
        }
        return { tasks: [{ name: 'one', timesPerCall: 1, run }], end: async () => {} }
      },
    }
    expect(await askMicro([broken], 2)).toMatchObject([{ medianNs: null, p99Ns: null, fault: 'it does' }])
  })
})
