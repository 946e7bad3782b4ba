/**
 * DIR/config.yaml, which every process of the cluster reads: the operator's configuration, plus where Redis and the
 * ledger are and where the secret lies. Secrets stay in files of mode 0600 and never appear in a command line.
 *
 * The environment stands above the file in every process, so it is asked first here as well. The file's contents are
 * checked by the processes themselves, against the schema of `config/`.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { describeFaults } from '../../config/faults.ts'
import { loadConfig } from '../../config/load.ts'
import { writeAtomically } from '../../loadbalancer/atomic-file.ts'
import { ClusterFailure } from './failure.ts'

export interface ClusterPaths {
  readonly config: string
  readonly secret: string
  readonly adminToken: string
  readonly sandboxSecret: string
}

export function clusterPaths(dir: string): ClusterPaths {
  return {
    config: join(dir, 'config.yaml'),
    secret: join(dir, 'identity.secret'),
    adminToken: join(dir, 'admin.token'),
    sandboxSecret: join(dir, 'payment-sandbox.secret'),
  }
}

const LOOPBACK = '127.0.0.1'

type Tree = Record<string, unknown>

/** The operator's configuration, as far as the supervisor has to know it. */
export interface OperatorConfig {
  readonly tree: Tree
  /** The operator's own Redis, or null when the cluster is to have one. */
  readonly redisUrl: string | null
  /** The operator's own database, or null when the cluster is to have one in its directory. */
  readonly ledgerUrl: string | null
  readonly ordersProcesses: number
  /** Where the admin API listens, and its certificate; null for plain HTTP. */
  readonly admin: { readonly host: string; readonly certFile: string | null }
  readonly hasIdentity: boolean
  readonly hasSandboxSecret: boolean
}

export function readOperatorConfig(path: string | null, environment: NodeJS.ProcessEnv): OperatorConfig {
  const tree = path === null ? {} : parseFile(path)
  const redis = environment['FAREBOX_REDIS_URL'] ?? group(tree, 'redis')['url']
  const ledger = environment['FAREBOX_LEDGER_URL'] ?? group(tree, 'ledger')['url']
  const processes = Number(environment['FAREBOX_ORDERS_PROCESSES'] ?? group(tree, 'orders')['processes'] ?? 1)
  const admin = group(tree, 'admin')
  const host = environment['FAREBOX_ADMIN_HOST'] ?? admin['host']
  const certFile = environment['FAREBOX_ADMIN_CERT_FILE'] ?? admin['certFile']
  const identity = group(tree, 'identity')
  const hasIdentity = ['secret', 'secretFile', 'publicKeys'].some((name) => identity[name] !== undefined)
  const named = ['SECRET', 'SECRET_FILE', 'PUBLIC_KEYS'].some((name) => environment[`FAREBOX_IDENTITY_${name}`])
  const sandbox = group(group(tree, 'payment'), 'sandbox')
  const sandboxNamed = ['SECRET', 'SECRET_FILE'].some((name) => environment[`FAREBOX_PAYMENT_SANDBOX_${name}`])
  return {
    tree,
    redisUrl: typeof redis === 'string' ? redis : null,
    ledgerUrl: typeof ledger === 'string' ? ledger : null,
    ordersProcesses: Number.isSafeInteger(processes) ? processes : 1,
    admin: {
      host: typeof host === 'string' ? host : LOOPBACK,
      certFile: typeof certFile === 'string' ? resolve(certFile) : null,
    },
    hasIdentity: hasIdentity || named,
    hasSandboxSecret: ['secret', 'secretFile'].some((name) => sandbox[name] !== undefined) || sandboxNamed,
  }
}

/**
 * Judges the configuration as the processes will, before one is started; the secret that `up` makes is taken as there.
 * @throws ClusterFailure with all faults at once.
 */
export function checkOperatorConfig(path: string | null, environment: NodeJS.ProcessEnv): void {
  const { hasIdentity } = readOperatorConfig(path, environment)
  const secretToCome = hasIdentity ? {} : { FAREBOX_IDENTITY_SECRET: '0'.repeat(64) }
  const loaded = loadConfig({ file: path, environment: { ...environment, ...secretToCome } })
  if (loaded.ok) return
  const { faults } = loaded
  throw new ClusterFailure('bad_config', `${path ?? 'environment'}: ${describeFaults(faults)}`, { faults })
}

/** Writes the cluster's configuration and, where they are missing, the secrets and the operator's token. */
export function writeClusterConfig(dir: string, operator: OperatorConfig, redisUrl: string): void {
  mkdirSync(dir, { recursive: true })
  const { config, secret, adminToken, sandboxSecret } = clusterPaths(dir)
  ensureSecret(adminToken)
  const tree: Tree = {
    ...operator.tree,
    redis: { ...group(operator.tree, 'redis'), url: redisUrl },
    ledger: { ...group(operator.tree, 'ledger'), url: operator.ledgerUrl ?? `pglite://${join(dir, 'ledger')}` },
  }
  if (!operator.hasIdentity) {
    ensureSecret(secret)
    tree['identity'] = { ...group(operator.tree, 'identity'), secretFile: secret }
  }
  if (!operator.hasSandboxSecret) {
    ensureSecret(sandboxSecret)
    const payment = group(operator.tree, 'payment')
    tree['payment'] = { ...payment, sandbox: { ...group(payment, 'sandbox'), secretFile: sandboxSecret } }
  }
  const head = '# Written by "farebox up" from --config. Changes made here are lost with the next up.\n'
  // The operator's file may hold the secret itself.
  writeAtomically(config, head + stringify(tree), 0o600)
}

function ensureSecret(path: string): void {
  if (!existsSync(path)) writeAtomically(path, randomBytes(32).toString('hex'), 0o600)
}

function group(tree: Tree, name: string): Tree {
  const value = tree[name]
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function parseFile(path: string): Tree {
  let value: unknown
  try {
    value = parse(readFileSync(resolve(path), 'utf8'))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ClusterFailure('bad_config', `cannot read the configuration ${path}: ${why}`, { path }, error)
  }
  if (value === null || value === undefined) return {}
  if (typeof value === 'object' && !Array.isArray(value)) return { ...value }
  throw new ClusterFailure('bad_config', `the configuration ${path} is not a YAML mapping`, { path })
}
