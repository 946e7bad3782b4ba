/** Stands in until the node is merged: the lead's node/main.ts replaces this file. */
import type { LoadedConfig } from '../config/load.ts'

export interface NodeOptions {
  readonly loaded: LoadedConfig
  /** Shared by the cluster's private ports. */
  readonly adminToken: string
}

export interface RunningNode {
  readonly url: string
  readonly adminUrl: string
}

export async function runNode(_options: NodeOptions): Promise<RunningNode> {
  throw new Error('the node is not built yet')
}
