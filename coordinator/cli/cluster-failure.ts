/** The supervisor's failures as the CLI's: one exit code each. */
import { ClusterFailure } from '../supervise/failure.ts'
import type { ClusterFailureCode } from '../supervise/failure.ts'
import { CliError, EXIT } from './frame.ts'
import type { ExitCode } from './frame.ts'

const EXIT_CODES: Readonly<Record<ClusterFailureCode, ExitCode>> = {
  already_running: EXIT.refused,
  missing_program: EXIT.missingProgram,
  process_failed: EXIT.refused,
  port_taken: EXIT.refused,
  bad_config: EXIT.usage,
  bad_sale_file: EXIT.usage,
  sale_refused: EXIT.refused,
  not_ready: EXIT.refused,
  interrupted: EXIT.refused,
  no_cluster: EXIT.noCluster,
  no_such_node: EXIT.refused,
}

export function cliError(error: unknown): CliError {
  if (error instanceof CliError) return error
  if (error instanceof ClusterFailure)
    return new CliError(EXIT_CODES[error.code], error.code, error.message, error.details)
  return new CliError(EXIT.refused, 'internal', error instanceof Error ? error.message : String(error))
}
