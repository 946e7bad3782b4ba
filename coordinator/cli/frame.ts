/**
 * What every command of the operator's CLI shares: where the cluster is, how results and failures leave.
 *
 * A command returns its result as data plus a text form. With `--json` exactly one JSON document goes to stdout,
 * also on failure; everything else (logs, progress, questions) goes to stderr.
 */
import type { Command } from 'commander'

export const EXIT = { done: 0, refused: 1, usage: 2, noCluster: 3, missingProgram: 69 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A failure that the operator can read: one line with what, value, what to do. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode
  /** Stable, for scripts: lower snake case. */
  readonly code: string
  readonly details: unknown

  constructor(exitCode: ExitCode, code: string, message: string, details: unknown = null) {
    super(message)
    this.exitCode = exitCode
    this.code = code
    this.details = details
  }
}

const EXIT_OF_CODE: Readonly<Record<string, ExitCode>> = { bad_sale_file: EXIT.usage, store_away: EXIT.noCluster }

/** What the coordinator refused, or the operation itself where no coordinator was asked. */
export function refusal(code: string, message: string, details: unknown): CliError {
  return new CliError(EXIT_OF_CODE[code] ?? EXIT.refused, code, message, details)
}

/** What a command that ran to its end has to say. */
export interface CommandResult {
  /** The JSON document for `--json`. */
  readonly json: unknown
  /** The same for people. */
  readonly text: string
  /** Printed as it comes, instead of both. */
  readonly stream?: AsyncIterable<string>
  /** {@link EXIT.refused} for a command that worked and found something wrong (an audit). Default: done. */
  readonly exitCode?: ExitCode
}

/** Options that every command takes, as given. */
export interface CommonOptions {
  readonly dir: string
  readonly admin?: string
  readonly tokenFile?: string
  readonly json: boolean
}

/** One file per command registers itself here; `action` runs it and takes care of output and exit code. */
export interface Cli {
  readonly program: Command
  /**
   * Wraps a command's work: prints its result, turns errors into exit codes. The type parameters let each command
   * say what commander gives it.
   */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  action<Options, Args extends unknown[]>(
    run: (common: CommonOptions, options: Options, ...args: Args) => Promise<CommandResult>,
  ): (...commanderArguments: unknown[]) => Promise<void>
  /** A line of an endless result (`--follow`), to stdout. */
  print(line: string): void
  /** A line for people, to stderr. */
  note(line: string): void
}

export type RegisterCommand = (cli: Cli) => void
