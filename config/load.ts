/**
 * Loads the configuration: flag before environment before file before default.
 *
 * Every fault is collected and told at once, each with path, value and what is allowed. A key that is not known or not
 * yet supported is refused, never ignored: an operator who wrote it believes that it works.
 */
import { createHash, createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Value } from 'typebox/value'
import { parse as parseYaml } from 'yaml'
import { isPlainObject, type Checked, type Fault } from './faults.ts'
import {
  allowedValues,
  environmentName,
  isOptionPath,
  OPTION_PATHS,
  optionAt,
  UNSUPPORTED_OPTIONS,
  type Config,
  type OptionPath,
} from './options.ts'

export type Source = 'flag' | 'environment' | 'file' | 'default'

export interface LoadedConfig {
  readonly config: Config
  /** The text of the files in `identity.publicKeys`. */
  readonly publicKeyPems: readonly string[]
  /** SHA-256, hex, over all that the cluster must agree on; secrets go in as hashes. */
  readonly clusterHash: string
  readonly sources: Readonly<Record<OptionPath, Source>>
}

export interface ConfigInput {
  /** By option path; text as from a command line, or values of the right type. */
  readonly flags?: Readonly<Record<string, unknown>>
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Path of the YAML file. */
  readonly file?: string | null
}

/** Variables with our prefix that are not options of the configuration. */
const OTHER_ENVIRONMENT = new Set(['FAREBOX_DIR'])
const ENVIRONMENT_PATHS = new Map(OPTION_PATHS.map((path) => [environmentName(path), path]))
const UNSUPPORTED_ENVIRONMENT = new Map(Object.keys(UNSUPPORTED_OPTIONS).map((path) => [environmentName(path), path]))
const MIN_SECRET_BYTES = 32
const MASK = '***'

interface Found {
  readonly value: unknown
  readonly source: Source
}

export function loadConfig(input: ConfigInput): Checked<LoadedConfig> {
  const faults: Fault[] = []
  const found = new Map<OptionPath, Found>()
  // Lowest precedence first: a later source replaces an earlier one.
  for (const path of OPTION_PATHS) found.set(path, { value: optionAt(path).default, source: 'default' })
  collectFile(input.file ?? null, found, faults)
  collectEnvironment(input.environment ?? {}, found, faults)
  collectFlags(input.flags ?? {}, found, faults)
  for (const [path, { value, source }] of found) if (source !== 'default') checkValue(path, value, faults)

  if (faults.length === 0) readSecretFiles(found, faults)
  const publicKeyPems = faults.length === 0 ? readPublicKeys(found, faults) : []
  if (faults.length === 0) crossCheck(found, faults)
  if (faults.length > 0) return { ok: false, faults }
  const sources = Object.fromEntries([...found].map(([path, { source }]) => [path, source])) as Record<
    OptionPath,
    Source
  >
  return {
    ok: true,
    value: { config: nest(found), publicKeyPems, clusterHash: hashCluster(found, publicKeyPems), sources },
  }
}

/** A value as it may be shown: secrets and passwords in URLs masked. */
export function maskValue(path: string, value: unknown): unknown {
  if (isOptionPath(path) && optionAt(path).secret === true && value !== null && value !== undefined) return MASK
  if (typeof value === 'string' && path.endsWith('url'))
    return value.replace(/^([a-z]+:\/\/[^/@]*?:)[^@]*@/, `$1${MASK}@`)
  return value
}

/** Every option with its value as it may be shown and where that came from, for `config show`. */
export function showConfig(
  loaded: LoadedConfig,
): readonly { readonly path: OptionPath; readonly value: unknown; readonly source: Source }[] {
  return OPTION_PATHS.map((path) => {
    const { group, name } = placeOf(path)
    const member = (loaded.config as unknown as Record<string, unknown>)[group]
    const value = name === null ? member : (member as Record<string, unknown>)[name]
    return { path, value: maskValue(path, value), source: loaded.sources[path] }
  })
}

function collectFile(file: string | null, found: Map<OptionPath, Found>, faults: Fault[]): void {
  if (file === null) return
  let document: unknown
  try {
    document = parseYaml(readFileSync(file, 'utf8')) as unknown
  } catch (error) {
    faults.push({ path: '', value: file, message: `the configuration file cannot be read: ${messageOf(error)}` })
    return
  }
  if (document === null || document === undefined) return
  if (!isPlainObject(document)) {
    faults.push({ path: '', value: file, message: 'the configuration file must hold a map of options' })
    return
  }
  collectTree(document, '', found, faults)
}

function collectTree(
  tree: Record<string, unknown>,
  prefix: string,
  found: Map<OptionPath, Found>,
  faults: Fault[],
): void {
  for (const [key, value] of Object.entries(tree)) {
    const path = prefix + key
    const known = isOptionPath(path) && !key.includes('.')
    const isGroup = OPTION_PATHS.some((option) => option.startsWith(`${path}.`)) || isUnsupportedGroup(path)
    if (known) {
      // `key:` with nothing behind it says "not set".
      if (value !== null) found.set(path, { value, source: 'file' })
    } else if (isGroup && isPlainObject(value)) collectTree(value, `${path}.`, found, faults)
    else if (isGroup && value === null) continue
    else faults.push(refusedKey(path, value))
  }
}

function isUnsupportedGroup(path: string): boolean {
  return Object.keys(UNSUPPORTED_OPTIONS).some((option) => option.startsWith(`${path}.`))
}

function collectEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  found: Map<OptionPath, Found>,
  faults: Fault[],
): void {
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith('FAREBOX_') || OTHER_ENVIRONMENT.has(name)) continue
    const path = ENVIRONMENT_PATHS.get(name)
    if (path !== undefined) found.set(path, { value: fromText(path, value), source: 'environment' })
    else faults.push(refusedKey(UNSUPPORTED_ENVIRONMENT.get(name) ?? name, value))
  }
}

function collectFlags(flags: Readonly<Record<string, unknown>>, found: Map<OptionPath, Found>, faults: Fault[]): void {
  for (const [path, value] of Object.entries(flags)) {
    if (value === undefined) continue
    if (!isOptionPath(path)) faults.push(refusedKey(path, value))
    else if (optionAt(path).secret === true || maskValue(path, value) !== value) {
      const message = `a secret is not taken from the command line: use ${environmentName(path)} or the file`
      faults.push({ path, value: maskValue(path, value), message })
    } else found.set(path, { value: typeof value === 'string' ? fromText(path, value) : value, source: 'flag' })
  }
}

function refusedKey(path: string, value: unknown): Fault {
  const why = Object.hasOwn(UNSUPPORTED_OPTIONS, path) ? UNSUPPORTED_OPTIONS[path] : undefined
  // An unknown key may be a misspelt secret: its value is not repeated.
  if (why === undefined) return { path, value: undefined, message: 'no such option' }
  return { path, value: maskValue(path, value), message: `not yet supported: ${why}` }
}

/** Text from environment or command line becomes the type of the option, if it can; the check says if it could not. */
function fromText(path: OptionPath, text: string): unknown {
  const { schema } = optionAt(path)
  const isTextAlready: boolean = Value.Check(schema, text)
  if (isTextAlready) return text
  const type = (schema as { readonly type?: string }).type
  if (type === 'array')
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

function checkValue(path: OptionPath, value: unknown, faults: Fault[]): void {
  const { schema } = optionAt(path)
  if (Value.Check(schema, value)) return
  faults.push({ path, value: maskValue(path, value), message: `allowed is ${allowedValues(schema)}` })
}

/** Secrets that may lie in a file instead. */
const SECRET_FILES = [
  { path: 'identity.secret', filePath: 'identity.secretFile' },
  { path: 'payment.sandbox.secret', filePath: 'payment.sandbox.secretFile' },
] as const

function readSecretFiles(found: Map<OptionPath, Found>, faults: Fault[]): void {
  for (const { path, filePath } of SECRET_FILES) {
    const file = valueOf(found, filePath) as string | null
    if (file === null) continue
    if (valueOf(found, path) !== null) {
      faults.push({ path: filePath, value: file, message: `give it or ${path}, not both` })
      continue
    }
    const text = readText(filePath, file, faults)
    const source = found.get(filePath)?.source ?? 'file'
    if (text !== null) found.set(path, { value: text.replace(/\r?\n$/, ''), source })
  }
}

function readPublicKeys(found: Map<OptionPath, Found>, faults: Fault[]): string[] {
  const pems: string[] = []
  for (const [index, file] of (valueOf(found, 'identity.publicKeys') as string[]).entries()) {
    const path = `identity.publicKeys[${index}]`
    const pem = readText(path, file, faults)
    if (pem === null) continue
    if (pem.includes('PRIVATE KEY'))
      faults.push({ path, value: file, message: 'a private key; the public one belongs here' })
    else if (!isUsableKey(pem))
      faults.push({ path, value: file, message: 'allowed is an Ed25519 or P-256 public key in PEM' })
    else pems.push(pem)
  }
  return pems
}

function isUsableKey(pem: string): boolean {
  try {
    const key = createPublicKey(pem)
    return key.asymmetricKeyType === 'ed25519' || key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
  } catch {
    return false
  }
}

function readText(path: string, file: string, faults: Fault[]): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    faults.push({ path, value: file, message: `cannot be read: ${messageOf(error)}` })
    return null
  }
}

/** Rules about more than one option. */
function crossCheck(found: Map<OptionPath, Found>, faults: Fault[]): void {
  const secret = valueOf(found, 'identity.secret') as string | null
  const keys = valueOf(found, 'identity.publicKeys') as string[]
  const mode = valueOf(found, 'identity.mode')
  if (secret === null && keys.length === 0 && mode === 'token') {
    const message = 'identity.mode token needs identity.secret, identity.secretFile or identity.publicKeys'
    faults.push({ path: 'identity.secret', value: undefined, message })
  }
  for (const { path } of SECRET_FILES) {
    const text = valueOf(found, path) as string | null
    if (text === null || Buffer.byteLength(text) >= MIN_SECRET_BYTES) continue
    const message = `has ${Buffer.byteLength(text)} bytes; allowed are at least ${MIN_SECRET_BYTES}`
    faults.push({ path, value: MASK, message })
  }
  if (valueOf(found, 'demo.signIn') === true && secret === null) {
    const message = 'needs identity.secret: with public keys alone no token can be made here'
    faults.push({ path: 'demo.signIn', value: true, message })
  }
  const deadAfterMs = valueOf(found, 'deadAfterMs') as number
  const heartbeatMs = valueOf(found, 'heartbeatMs') as number
  if (heartbeatMs * 2 > deadAfterMs) {
    const message = `allowed is at most half of deadAfterMs (${deadAfterMs}): one lost heartbeat is not a death`
    faults.push({ path: 'heartbeatMs', value: heartbeatMs, message })
  }
  const processes = valueOf(found, 'orders.processes') as number
  const ledgerUrl = valueOf(found, 'ledger.url') as string | null
  // Without a URL `up` uses pglite.
  if (processes > 1 && ledgerUrl?.startsWith('postgres') !== true) {
    const message = 'allowed is 1 with pglite://, which one process opens alone; more need postgres:// as ledger.url'
    faults.push({ path: 'orders.processes', value: processes, message })
  }
}

function valueOf(found: Map<OptionPath, Found>, path: OptionPath): unknown {
  return found.get(path)?.value
}

/** `payment.sandbox.secret` is member `sandbox.secret` of group `payment`. */
function placeOf(path: string): { readonly group: string; readonly name: string | null } {
  const dot = path.indexOf('.')
  return dot < 0 ? { group: path, name: null } : { group: path.slice(0, dot), name: path.slice(dot + 1) }
}

function nest(found: Map<OptionPath, Found>): Config {
  const config: Record<string, unknown> = {}
  for (const [path, { value }] of found) {
    const { group, name } = placeOf(path)
    if (name === null) config[group] = value
    else config[group] = { ...(config[group] as object | undefined), [name]: value }
  }
  return config as Config
}

function hashCluster(found: Map<OptionPath, Found>, publicKeyPems: readonly string[]): string {
  const agreed = OPTION_PATHS.filter((path) => optionAt(path).group === 'cluster')
    .toSorted()
    .map((path) => {
      const value = valueOf(found, path)
      return [
        path,
        optionAt(path).secret === true && value !== null ? sha256(`farebox ${JSON.stringify(value)}`) : value,
      ]
    })
  const keys = publicKeyPems.map((pem) => sha256(pem)).toSorted()
  return sha256(JSON.stringify([...agreed, ['identity.publicKeys', keys]]))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
