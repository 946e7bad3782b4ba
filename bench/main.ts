/** `npm run bench -- [ratios|rush|micro] [options]`. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { askMicro, microLines, QUESTIONS } from './micro/main.ts'
import { runRatios, STEPS } from './ratios/main.ts'
import { runRush } from './rush/main.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const HELP = `npm run bench -- ratios [--pairs 7] [--seconds 10] [--connections 256] [--only STEP,STEP] [--strict]
  The node against itself without batches, against a bare HTTP route, and what a ticket costs Redis: interleaved
  pairs, servers on core 0, load (wrk) on core 1. About 25 minutes; leave the machine alone meanwhile.
  Steps: ${STEPS.join(', ')}.
  --strict: a bar that is not reached ends with an error too, not only a broken law or a missing sample.

npm run bench -- rush [--buyers 30000] [--stock 10000] [--nodes 4] [--seconds 20] [--k6 PATH]
  A cluster by "farebox up" and everybody at the opening second (k6): the exact sale is the threshold, then the audit.

npm run bench -- micro [--seconds 1] [--only QUESTION,QUESTION]
  What the parts of a purchase cost, each alone. Questions: ${QUESTIONS.map(({ name }) => name).join(', ')}.

npm run bench -- help
  This text. Without a choice: ratios.
`

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      pairs: { type: 'string', default: '7' },
      seconds: { type: 'string' },
      connections: { type: 'string', default: '256' },
      only: { type: 'string', default: '' },
      strict: { type: 'boolean', default: false },
      buyers: { type: 'string', default: '30000' },
      stock: { type: 'string', default: '10000' },
      nodes: { type: 'string', default: '4' },
      k6: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const number = (name: string, text: string): number => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
    if (value < 1) throw new UsageError(`--${name} ${text}: a whole number of at least 1 is expected`)
    return value
  }
  const [choice = 'ratios', ...rest] = positionals
  if (values.help || choice === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  if (rest.length > 0) throw new UsageError(`${rest.join(' ')}: one choice at a time`)
  const resultsDir = `${ROOT}/bench/results`
  if (choice === 'ratios') {
    process.stderr.write('bench: ratios; for the other choices: npm run bench -- help\n')
    const only = values.only.split(',').filter(Boolean)
    const unknown = only.filter((step) => !STEPS.includes(step))
    if (unknown.length > 0) throw new UsageError(`--only ${unknown.join(',')}: there are ${STEPS.join(', ')}`)
    return runRatios({
      pairs: number('pairs', values.pairs),
      seconds: number('seconds', values.seconds ?? '10'),
      connections: number('connections', values.connections),
      only,
      strict: values.strict,
      resultsDir,
    })
  }
  if (choice === 'micro') {
    const only = values.only.split(',').filter(Boolean)
    const questions = QUESTIONS.filter(({ name }) => only.length === 0 || only.includes(name))
    const unknown = only.filter((name) => !QUESTIONS.some((question) => question.name === name))
    if (unknown.length > 0) throw new UsageError(`--only ${unknown.join(',')}: there is no such question`)
    const answers = await askMicro(questions, number('seconds', values.seconds ?? '1') * 1000)
    process.stdout.write(`${microLines(answers).join('\n')}\n`)
    return answers.some(({ fault }) => fault !== null) ? 1 : 0
  }
  if (choice !== 'rush') throw new UsageError(`${choice}: there are ratios, rush and micro`)
  return runRush({
    root: ROOT,
    k6: values.k6 ?? process.env['K6_BIN'] ?? 'k6',
    buyers: number('buyers', values.buyers),
    stock: number('stock', values.stock),
    nodes: number('nodes', values.nodes),
    seconds: number('seconds', values.seconds ?? '20'),
    resultsDir,
  })
}

class UsageError extends Error {
  override readonly name = 'UsageError'
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true
  if (!isUsage) throw error
  process.stderr.write(`bench: ${(error as Error).message}\n\n${HELP}`)
  process.exitCode = 2
}
