import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { bufferRule } from './buffer-rule.ts'
import { describeFaults, type Fault } from './faults.ts'
import { loadConfig, maskValue, showConfig, type ConfigInput } from './load.ts'
import { allowedValues, environmentName, flagName, flagPaths, helpText, OPTION_PATHS, optionAt } from './options.ts'

const SECRET = 'a secret of thirty-two bytes, ok'
const directory = mkdtempSync(join(tmpdir(), 'farebox-config-'))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
function write(text: string): string {
  files += 1
  const path = join(directory, `file-${files}`)
  writeFileSync(path, text)
  return path
}

const environment = { FAREBOX_IDENTITY_SECRET: SECRET }

function load(input: ConfigInput) {
  const result = loadConfig({ environment, ...input })
  if (!result.ok) throw new Error(describeFaults(result.faults))
  return result.value
}

function hash(input: ConfigInput): string {
  return load(input).clusterHash
}

function faultsOf(input: ConfigInput): readonly Fault[] {
  const result = loadConfig({ environment, ...input })
  return result.ok ? [] : result.faults
}

describe('option names', () => {
  it('derive from the path', () => {
    expect(environmentName('identity.mode')).toBe('FAREBOX_IDENTITY_MODE')
    expect(environmentName('batch.maxItems')).toBe('FAREBOX_BATCH_MAX_ITEMS')
    expect(environmentName('deadAfterMs')).toBe('FAREBOX_DEAD_AFTER_MS')
    expect(flagName('batch.maxItems')).toBe('--batch-max-items')
    expect(flagPaths()).not.toContain('identity.secret')
    expect(new Set(OPTION_PATHS.map(environmentName)).size).toBe(OPTION_PATHS.length)
  })

  it('are all in the help, with what is allowed', () => {
    const help = helpText()
    for (const path of OPTION_PATHS) {
      expect(help).toContain(`${path}  (`)
      expect(allowedValues(optionAt(path).schema)).not.toContain('undefined')
    }
    expect(help).toContain('Allowed: "token" or "anonymous". Default: "token".')
  })
})

describe('loadConfig', () => {
  it('takes flag before environment before file before default, and says from where', () => {
    const file = write('batch: { maxItems: 2, maxInFlight: 3 }\nheartbeatMs: 300\n')
    const { config, sources } = load({
      file,
      environment: { ...environment, FAREBOX_BATCH_MAX_ITEMS: '4', FAREBOX_HEARTBEAT_MS: '310', PATH: '/bin' },
      flags: { 'batch.maxItems': '5', 'node.id': undefined },
    })
    expect(config.batch).toEqual({ maxItems: 5, maxInFlight: 3 })
    expect([config.heartbeatMs, config.deadAfterMs, config.quota.buffer]).toEqual([310, 1500, '10%'])
    expect([sources['batch.maxItems'], sources.heartbeatMs, sources['batch.maxInFlight'], sources.ack]).toEqual([
      'flag',
      'environment',
      'file',
      'default',
    ])
  })

  it('reads each type from text', () => {
    const { config } = load({
      environment: {
        ...environment,
        FAREBOX_REDIS_DURABLE: 'true',
        FAREBOX_HTTP_ALLOWED_ORIGINS: 'https://a.example, http://localhost:3000',
        FAREBOX_QUOTA_BUFFER: '25',
        FAREBOX_NODE_ID: '7',
      },
    })
    expect(config.redis.durable).toBe(true)
    expect(config.http.allowedOrigins).toEqual(['https://a.example', 'http://localhost:3000'])
    expect([config.quota.buffer, config.node.id]).toEqual([25, '7'])
    expect(bufferRule(config.quota.buffer)).toEqual({ tickets: 25 })
    expect(bufferRule('15%')).toEqual({ percent: 15 })
  })

  it('tells every fault at once, with path, value and what is allowed', () => {
    const faults = faultsOf({
      file: write(
        'batch: { maxItems: many }\nquota: { buffer: 0 }\nidentity: { mood: x }\nack: paper\nidentity.mode: token\n',
      ),
      environment: { ...environment, FAREBOX_DEAD_AFTER_MS: '1.5', FAREBOX_BATCH_MAXITEMS: '4' },
      flags: { 'node.port': '70000', colour: 'red' },
    })
    expect(faults.map(({ path }) => path).toSorted()).toEqual(
      [
        'FAREBOX_BATCH_MAXITEMS',
        'ack',
        'batch.maxItems',
        'colour',
        'deadAfterMs',
        'identity.mode',
        'identity.mood',
        'node.port',
        'quota.buffer',
      ].toSorted(),
    )
    expect(faults.find(({ path }) => path === 'batch.maxItems')).toEqual({
      path: 'batch.maxItems',
      value: 'many',
      message: 'allowed is a whole number from 1 to 1000',
    })
    expect(faults.find(({ path }) => path === 'ack')?.message).toBe(
      'allowed is "redis" or "replicated" or "ledger" or "none"',
    )
  })

  it.each([
    ['ledger: { url: "mysql://x" }', 'ledger.url'],
    ['latePayment: maybe', 'latePayment'],
    ['demo: { signIn: 2 }', 'demo.signIn'],
    ['payment: { sandbox: { secret: short } }', 'payment.sandbox.secret'],
    ['payment: { sandbox: { secretFile: /nowhere/at/all } }', 'payment.sandbox.secretFile'],
    ['orders: { processes: 2 }', 'orders.processes'],
    ['orders: { processes: 2 }\nledger: { url: "pglite:///x" }', 'orders.processes'],
  ])('refuses %s', (text, path) => {
    expect(faultsOf({ file: write(text) })).toEqual([expect.objectContaining({ path })])
  })

  it('takes several orders processes with PostgreSQL', () => {
    expect(faultsOf({ file: write('orders: { processes: 2 }\nledger: { url: "postgres://x/y" }') })).toEqual([])
  })

  it('refuses a file that is missing, not YAML or not a map', () => {
    expect(faultsOf({ file: join(directory, 'absent') })[0]?.message).toContain('cannot be read')
    expect(faultsOf({ file: write('a: [') })).toHaveLength(1)
    expect(faultsOf({ file: write('- a') })[0]?.message).toContain('map')
    expect(faultsOf({ file: write('') })).toEqual([])
    expect(faultsOf({ file: write('redis:\nidentity: { issuer: }') })).toEqual([])
  })

  it('refuses a missing or short secret in token mode, and never shows one', () => {
    expect(faultsOf({ environment: {} })[0]?.path).toBe('identity.secret')
    expect(faultsOf({ environment: { FAREBOX_IDENTITY_MODE: 'anonymous' } })).toEqual([])
    const shown = describeFaults([
      ...faultsOf({ environment: { FAREBOX_IDENTITY_SECRET: 'short-secret' } }),
      ...faultsOf({ flags: { 'identity.secret': SECRET } }),
      ...faultsOf({ flags: { 'redis.url': 'redis://user:hunter2@host:1' } }),
      ...faultsOf({ environment: { ...environment, FAREBOX_IDENTITY_SECRETS: 'hunter2' } }),
    ])
    expect(shown).toContain('12 bytes')
    expect(shown.split('\n')).toHaveLength(4)
    for (const secret of ['short-secret', SECRET, 'hunter2']) expect(shown).not.toContain(secret)
    expect(maskValue('redis.url', 'redis://:pw@h:1')).toBe('redis://:***@h:1')
    expect(maskValue('redis.url', 'redis://h:1')).toBe('redis://h:1')
  })

  it('counts the bytes of a secret, not its characters', () => {
    expect(faultsOf({ environment: { FAREBOX_IDENTITY_SECRET: 'é'.repeat(16) } })).toEqual([])
    expect(faultsOf({ environment: { FAREBOX_IDENTITY_SECRET: 'é'.repeat(15) } })).toHaveLength(1)
  })

  it('reads the secret from a file, without its line end', () => {
    const flags = { 'identity.secretFile': write(`${SECRET}\n`) }
    expect(load({ environment: {}, flags }).config.identity.secret).toBe(SECRET)
    expect(faultsOf({ flags })[0]?.message).toContain('not both')
  })

  it('takes Ed25519 and P-256 public keys, and no others', () => {
    const pem = (pair: { publicKey: { export(o: { type: 'spki'; format: 'pem' }): string | Buffer } }) =>
      write(String(pair.publicKey.export({ type: 'spki', format: 'pem' })))
    const good = [pem(generateKeyPairSync('ed25519')), pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }))]
    const loaded = load({ environment: {}, file: write(JSON.stringify({ identity: { publicKeys: good } })) })
    expect(loaded.publicKeyPems).toHaveLength(2)
    const bad = [pem(generateKeyPairSync('ec', { namedCurve: 'P-384' })), write('nonsense'), join(directory, 'absent')]
    expect(faultsOf({ flags: { 'identity.publicKeys': bad.join(',') } }).map(({ path }) => path)).toEqual([
      'identity.publicKeys[0]',
      'identity.publicKeys[1]',
      'identity.publicKeys[2]',
    ])
  })

  it('hashes what the cluster must agree on, and only that, without the secret in the clear', () => {
    const base = hash({})
    expect(base).toMatch(/^[0-9a-f]{64}$/)
    expect(hash({ flags: { 'batch.maxItems': 1, 'node.id': 'n2' } })).toBe(base)
    expect(hash({ flags: { deadAfterMs: 1501 } })).not.toBe(base)
    expect(hash({ environment: { FAREBOX_IDENTITY_SECRET: `${SECRET}!` } })).not.toBe(base)
    expect(hash({ environment: {}, flags: { 'identity.secretFile': write(SECRET) } })).toBe(base)
  })

  it('can be shown, without the secret', () => {
    const shown = showConfig(load({ flags: { 'batch.maxItems': 7 } }))
    expect(shown.map(({ path }) => path)).toEqual(OPTION_PATHS)
    expect(shown).toContainEqual({ path: 'batch.maxItems', value: 7, source: 'flag' })
    expect(shown).toContainEqual({ path: 'ack', value: 'redis', source: 'default' })
    expect(shown).toContainEqual({ path: 'identity.secret', value: '***', source: 'environment' })
  })

  it('refuses keys that every object has', () => {
    const faults = faultsOf({ file: write('constructor: 1\ntoString: 2\nredis: { constructor: 3 }') })
    expect(faults.map(({ message }) => message)).toEqual(['no such option', 'no such option', 'no such option'])
  })

  it('refuses heartbeats too rare for the time of death', () => {
    expect(faultsOf({ flags: { heartbeatMs: 200, deadAfterMs: 300 } })[0]?.path).toBe('heartbeatMs')
  })
})

describe('the example file', () => {
  const path = join(import.meta.dirname, 'farebox.example.yaml')
  const text = readFileSync(path, 'utf8')

  it('loads and shows the defaults', () => {
    const { config } = load({ file: path })
    expect(config).toEqual(load({}).config)
  })

  it('names every option, the commented ones too, and loads with those', () => {
    const uncommented = text.replaceAll(/^( *)# ([a-z][A-Za-z]*: \S+)$/gm, '$1$2').replaceAll(/.*secretFile.*/g, '')
    const result = loadConfig({ file: write(uncommented) })
    if (!result.ok) throw new Error(describeFaults(result.faults))
    const missing = OPTION_PATHS.filter((option) => result.value.sources[option] === 'default')
    expect(missing).toEqual(['identity.secretFile', 'payment.sandbox.secretFile'])
    expect(text).toContain('# secretFile:')
  })
})
