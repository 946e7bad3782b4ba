/** Implements the frame: results to stdout, everything else to stderr, failures to exit codes. */
import { CommanderError, type Command } from 'commander'
import pc from 'picocolors'
import { asTold } from '../operations/failure.ts'
import { ClusterFailure } from '../supervise/failure.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { StoreError } from '../../stock/port.ts'
import { cliError } from './cluster-failure.ts'
import { CliError, EXIT, refusal, type Cli, type CommandResult, type CommonOptions, type ExitCode } from './frame.ts'

/** Where a command's words go; a test brings its own. */
export interface Terminal {
  stdout(text: string): void
  stderr(text: string): void
  /** True when a person sits there who can be asked. */
  readonly interactive: boolean
  readonly colours: boolean
}

export const processTerminal: Terminal = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  interactive: process.stdin.isTTY && process.stderr.isTTY,
  colours: process.stderr.isTTY && process.env['NO_COLOR'] === undefined,
}

export interface Output extends Cli {
  exitCode(): ExitCode
  /** Tells a failure and remembers its exit code. */
  fail(error: unknown, json: boolean): void
}

export function createOutput(program: Command, terminal: Terminal): Output {
  let exitCode: ExitCode = EXIT.done
  const output: Output = {
    program,
    exitCode: () => exitCode,
    print: (line) => terminal.stdout(`${line}\n`),
    note: (line) => terminal.stderr(`${line}\n`),
    action(run) {
      return async (...commanderArguments) => {
        const { common, options, values } = split(commanderArguments)
        try {
          // The shape of a command's options and arguments is what it declared to commander.
          const result = await (run as (...all: unknown[]) => Promise<CommandResult>)(common, options, ...values)
          if (result.stream !== undefined) {
            for await (const piece of result.stream) terminal.stdout(piece)
            exitCode = result.exitCode ?? EXIT.done
            return
          }
          const text = common.json ? JSON.stringify(result.json) : result.text
          terminal.stdout(text === '' || text.endsWith('\n') ? text : `${text}\n`)
          exitCode = result.exitCode ?? EXIT.done
        } catch (error) {
          output.fail(error, common.json)
        }
      }
    },
    fail(error, json) {
      const failure = cliErrorOf(error)
      exitCode = failure.exitCode
      const { code, message, details } = failure
      if (json) terminal.stdout(`${JSON.stringify({ error: { code, message, details } })}\n`)
      else terminal.stderr(`${terminal.colours ? pc.red('farebox:') : 'farebox:'} ${message}\n`)
    },
  }
  return output
}

function split(commanderArguments: unknown[]): { common: CommonOptions; options: unknown; values: unknown[] } {
  const command = commanderArguments.at(-1) as Command
  const values = commanderArguments.slice(0, -2)
  const all = command.optsWithGlobals<{ dir: string; admin?: string; tokenFile?: string; json?: boolean }>()
  const common: CommonOptions = {
    dir: all.dir,
    json: all.json === true,
    ...(all.admin === undefined ? {} : { admin: all.admin }),
    ...(all.tokenFile === undefined ? {} : { tokenFile: all.tokenFile }),
  }
  return { common, options: command.opts(), values }
}

/** Every failure as the operator reads it. */
function cliErrorOf(error: unknown): CliError {
  if (error instanceof CliError) return error
  if (error instanceof OperationError) return refusal(error.code, error.message, error.details)
  if (error instanceof StoreError) return cliErrorOf(asTold(error))
  if (error instanceof ClusterFailure) return cliError(error)
  if (error instanceof CommanderError) return new CliError(EXIT.usage, 'usage', error.message.replace(/^error: /, ''))
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new CliError(EXIT.refused, 'internal', message)
}
