/** What keeps a cluster on this machine from doing what was asked. The CLI turns `code` into an exit code. */

export type ClusterFailureCode =
  | 'already_running'
  | 'missing_program'
  | 'process_failed'
  | 'port_taken'
  | 'bad_config'
  | 'bad_sale_file'
  | 'sale_refused'
  | 'not_ready'
  | 'interrupted'
  | 'no_cluster'
  | 'no_such_node'

export class ClusterFailure extends Error {
  override readonly name = 'ClusterFailure'
  readonly code: ClusterFailureCode
  readonly details: unknown

  constructor(code: ClusterFailureCode, message: string, details: unknown = null, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.details = details
  }
}

/** Ctrl-C during a start. */
export function interrupted(cause?: unknown): ClusterFailure {
  return new ClusterFailure('interrupted', 'interrupted: everything started was stopped', null, cause)
}
