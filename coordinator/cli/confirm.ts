import { createInterface } from 'node:readline/promises'
import { CliError, EXIT } from './frame.ts'
import { processTerminal } from './output.ts'

/** Asks at a terminal only: for what is said twice already, as `down --purge` is. */
export async function confirmAtTerminal(question: string, yes: boolean | undefined): Promise<void> {
  if (processTerminal.interactive) await confirm(question, yes)
}

/** Asks before what cannot be undone. Without a terminal nothing is asked: then `--yes` is needed. */
export async function confirm(question: string, yes: boolean | undefined): Promise<void> {
  if (yes === true) return
  if (!processTerminal.interactive) {
    throw new CliError(EXIT.usage, 'needs_yes', `${question} There is no terminal to ask: say --yes if you mean it`)
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await asking.question(`${question} [y/N] `)
  asking.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError(EXIT.refused, 'not_confirmed', 'nothing was done')
}
