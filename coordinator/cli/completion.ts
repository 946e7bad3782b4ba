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

/** Words whose value is a file or a directory. */
const FILE_OPTIONS = '--dir|--token-file|--config|--sale'
/** Commands whose arguments may be files. */
const FILE_COMMANDS = "'sale/create'|'token'|'up'"

export function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const paths = ` ${pathsOf(program).join(' ')} `
  return shell === 'zsh' ? zshScript(paths, entriesOf(program, [])) : bashScript(paths, entriesOf(program, []))
}

function bashScript(paths: string, entries: readonly Entry[]): string {
  return `_farebox() {
  local place='' word words='' current="\${COMP_WORDS[COMP_CWORD]}" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "${paths}" in
      *" \${place:+$place/}$word "*) place="\${place:+$place/}$word" ;;
    esac
  done
  case "$place" in
${entries.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`).join('\n')}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    ${FILE_OPTIONS}) compopt -o default 2>/dev/null; COMPREPLY=(); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$place" in
    ${FILE_COMMANDS}) [ \${#COMPREPLY[@]} -eq 0 ] && compopt -o default 2>/dev/null ;;
  esac
}
complete -F _farebox farebox
`
}

/** In zsh's own words: its copy of bash's needs more than is there, and takes \`path\` for where programs are. */
function zshScript(paths: string, entries: readonly Entry[]): string {
  return `#compdef farebox
_farebox() {
  local place='' word i
  local -a offered
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    case "${paths}" in
      *" \${place:+$place/}$word "*) place="\${place:+$place/}$word" ;;
    esac
  done
  case "\${words[CURRENT-1]}" in
    ${FILE_OPTIONS}) _files; return ;;
  esac
  case "$place" in
${entries.map(({ path, words }) => `    '${path}') offered=(${words.join(' ')}) ;;`).join('\n')}
  esac
  compadd -- $offered && return
  case "$place" in
    ${FILE_COMMANDS}) _files ;;
  esac
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i -D }
compdef _farebox farebox
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
