/** `completion`: what a shell needs to complete commands and options, made from the table of commands itself. */
import type { Command } from 'commander'
import { CliError, EXIT, type RegisterCommand } from './frame.ts'

export const registerCompletion: RegisterCommand = (cli) => {
  cli.program
    .command('completion')
    .argument('<shell>', 'bash or zsh')
    .description('a script that completes commands and options: source <(farebox completion bash)')
    .action(
      cli.action(async (_common, _options, shell: string) => {
        if (shell !== 'bash' && shell !== 'zsh') {
          throw new CliError(EXIT.usage, 'usage', `completion ${shell}: bash or zsh is expected`)
        }
        const script = completionScript(cli.program, shell)
        return { json: { shell, script }, text: script }
      }),
    )
}

/** zsh understands bash's own words for it. */
export function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const cases = entriesOf(program, [])
    .map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`)
    .join('\n')
  const head = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''
  return `${head}_farebox() {
  local path='' word words='' current="\${COMP_WORDS[COMP_CWORD]}" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case " ${pathsOf(program).join(' ')} " in
      *" \${path:+$path/}$word "*) path="\${path:+$path/}$word" ;;
    esac
  done
  case "$path" in
${cases}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    --dir|--token-file|--config|--sale) compopt -o default 2>/dev/null; COMPREPLY=(); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$path" in
    'sale/create'|'token'|'up') [ \${#COMPREPLY[@]} -eq 0 ] && compopt -o default 2>/dev/null ;;
  esac
}
complete -F _farebox farebox
`
}

interface Entry {
  /** `sale/open`; empty for the program. */
  readonly path: string
  /** Subcommands and options that may follow. */
  readonly words: readonly string[]
}

function entriesOf(command: Command, path: readonly string[]): Entry[] {
  const subcommands = command.commands.map((sub) => sub.name())
  const options = [...command.options, ...commonOptions(command)].flatMap(({ long }) => long ?? [])
  const words = [...subcommands, ...new Set([...options, '--help'])]
  const choices = path.join('/') === 'completion' ? ['bash', 'zsh'] : []
  const below = command.commands.flatMap((sub) => entriesOf(sub, [...path, sub.name()]))
  return [{ path: path.join('/'), words: [...choices, ...words] }, ...below]
}

function commonOptions(command: Command): readonly { readonly long?: string | null | undefined }[] {
  return command.parent === null ? [] : [...command.parent.options, ...commonOptions(command.parent)]
}

function pathsOf(program: Command): string[] {
  return entriesOf(program, []).flatMap(({ path }) => (path === '' ? [] : [path]))
}
