import { createInterface } from 'node:readline/promises'
import { CliError, EXIT } from './frame.ts'
import { processTerminal } from './output.ts'

/**
 * Asks before what cannot be undone. Without a terminal nothing is asked: then `--yes` is needed. `look` says what there
 * is to lose, a line each; it is shown to whoever is asked, and what cannot be looked at leaves the question as it is.
 */
export async function confirm(
  question: string,
  yes: boolean | undefined,
  look: () => Promise<readonly string[]> = async () => [],
): Promise<void> {
  if (yes === true) return
  if (!processTerminal.interactive) {
    throw new CliError(EXIT.usage, 'needs_yes', `${question} There is no terminal to ask: say --yes if you mean it`)
  }
  const lines = await look().catch(() => [])
  for (const line of lines) processTerminal.stderr(`${line}\n`)
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await asking.question(`${question} [y/N] `)
  asking.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError(EXIT.refused, 'not_confirmed', 'nothing was done')
}
