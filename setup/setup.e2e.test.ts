/** Set-up as a stranger meets it: programs missing, no rights, two builds at once. Nothing here really installs. */
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { waitFor } from '../loadbalancer/wait.ts'

const root = join(import.meta.dirname, '..')
let box = ''
beforeEach(() => {
  box = mkdtempSync(join(tmpdir(), 'farebox-setup-'))
  mkdirSync(join(box, 'bin'))
})
afterEach(() => rmSync(box, { recursive: true, force: true }))

/** A program in a PATH that holds nothing else. */
function program(name: string, script: string): void {
  const path = join(box, 'bin', name)
  writeFileSync(path, `#!/bin/bash\n${script}\n`)
  chmodSync(path, 0o755)
}

function linked(...names: string[]): void {
  for (const name of names) {
    const path = ['/bin', '/usr/bin'].map((dir) => join(dir, name)).find(existsSync)
    if (path) symlinkSync(path, join(box, 'bin', name))
  }
}

function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return {
    PATH: join(box, 'bin'),
    HOME: box,
    FAREBOX_SETUP_PATH_ONLY: '1',
    FAREBOX_POLICY_RC: join(box, 'policy-rc.d'),
    ...more,
  }
}

function setUp(command: string, options: { uid?: number } = {}): { status: number | null; stderr: string } {
  const args = [join(root, 'setup', 'run.mjs'), command]
  return spawnSync(process.execPath, args, { env: environment(), encoding: 'utf8', ...options })
}

const REDIS = 'echo "Redis server v=7.0.15 sha=0"'

describe('missing programs', () => {
  const isRoot = process.getuid?.() === 0

  it('are named with the command that installs them, exit 69, where apt-get is not there', () => {
    const { status, stderr } = setUp('test')
    expect(status).toBe(69)
    expect(stderr).toContain('missing: redis-server, nginx, wrk, hey, ab, chromium, postgres')
    expect(stderr).toContain(
      'sudo apt-get update && sudo apt-get install -y --no-install-recommends redis-server nginx wrk hey apache2-utils chromium postgresql',
    )
  })

  it.runIf(isRoot)('are named to a user without rights, with or without a sudo that asks', () => {
    program('apt-get', 'touch "$HOME/apt-was-called"')
    program('redis-server', REDIS)
    // The launcher itself must be readable by that user.
    const copy = join(box, 'setup')
    cpSync(join(root, 'setup'), copy, { recursive: true })
    writeFileSync(join(box, 'package-lock.json'), '{}')
    chmodSync(box, 0o755)
    const run = () =>
      spawnSync(process.execPath, [join(copy, 'run.mjs'), 'up'], {
        env: environment(),
        encoding: 'utf8',
        uid: 65_534,
        cwd: box,
      })
    expect(run()).toMatchObject({ status: 69 })
    program('sudo', 'exit 1')
    const { status, stderr } = run()
    expect(status).toBe(69)
    expect(stderr).toContain('missing: nginx. Install')
    expect(existsSync(join(box, 'apt-was-called'))).toBe(false)
  })

  it('an old Redis is refused', () => {
    program('redis-server', 'echo "Redis server v=6.0.16 sha=0"')
    program('nginx', '')
    const { status, stderr } = setUp('up')
    expect([status, stderr]).toEqual([69, expect.stringContaining('redis-server 7 or newer is needed') as string])
  })

  it('a wrong command or Node version is a clear message', async () => {
    expect(setUp('dance')).toMatchObject({ status: 2 })
    const { checkNode } = (await import(join(root, 'setup', 'packages.mjs'))) as {
      checkNode: (version: string) => void
    }
    expect(() => checkNode('20.19.0')).not.toThrow()
    for (const wrong of ['18.20.0', '20.18.1', '22.1.0']) expect(() => checkNode(wrong)).toThrow('needs Node 20')
  })
})

function ask(...args: string[]) {
  return spawnSync(process.execPath, args, { env: environment(), encoding: 'utf8' })
}

describe('npm run … -- --help', () => {
  const launcher = join(root, 'setup', 'run.mjs')

  it.each([['chaos'], ['test']])('%s prints its usage and exits 0, though nothing is installed', (command) => {
    for (const help of ['--help', '-h']) {
      const { status, stdout, stderr } = ask(launcher, command, help)
      expect([status, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(new RegExp(`^usage: npm (run )?${command} `))
    }
  })

  it.each([[['--round', '4']], [['--rounds', 'many']], [['surprise']]])('chaos %j exits 2 and says why', (args) => {
    const { status, stderr } = ask(launcher, 'chaos', ...args)
    expect([status, stderr]).toEqual([2, expect.stringMatching(/^setup: .+\nusage: npm run chaos /) as string])
    expect(stderr).not.toContain('    at ')
  })

  it('sim and bench do the same', () => {
    expect(spawnSync(process.execPath, [join(root, 'setup', 'build.mjs')]).status).toBe(0)
    for (const name of ['sim', 'bench']) {
      const main = join(root, 'dist', name, 'main.js')
      for (const help of ['--help', '-h']) {
        const { status, stdout, stderr } = ask(main, help)
        expect([name, status, stderr]).toEqual([name, 0, ''])
        expect(stdout).toContain(`npm run ${name} -- `)
      }
      for (const args of [['--surprise'], ['surprise'], name === 'sim' ? ['--seed', 'x'] : ['rush', '--nodes', 'x']]) {
        const { status, stdout, stderr } = ask(main, ...args)
        expect([name, args, status, stdout]).toEqual([name, args, 2, ''])
        expect(stderr).toContain(`npm run ${name} -- `)
        expect(stderr).not.toContain('    at ')
      }
    }
  })
})

const policy = () => join(box, 'policy-rc.d')
const install = () =>
  spawnSync('bash', [join(root, 'setup', 'install.sh'), 'nginx'], { env: environment(), encoding: 'utf8' })

describe('installing', () => {
  beforeEach(() => linked('mv', 'rm', 'chmod', 'bash', 'sleep', 'touch', 'cat'))

  it('forbids services to start meanwhile, and puts the policy back', () => {
    program('apt-get', `"$FAREBOX_POLICY_RC"; echo "policy $?" "$DEBIAN_FRONTEND" "$@"`)
    expect(install()).toMatchObject({
      status: 0,
      stdout: 'policy 101 noninteractive install -y --no-install-recommends nginx\n',
    })
    expect(existsSync(policy())).toBe(false)
    writeFileSync(policy(), '#!/bin/sh\nexit 104\n')
    chmodSync(policy(), 0o755)
    expect(install().stdout).toContain('policy 101')
    expect(readFileSync(policy(), 'utf8')).toContain('104')
  })

  it('fetches the lists when it must, and puts the policy back on failure', () => {
    writeFileSync(policy(), 'mine')
    program('apt-get', `echo "$1" >>"$HOME/calls"; [ "$1" = update ] && touch "$HOME/updated"; [ -e "$HOME/updated" ]`)
    expect(install().status).toBe(0)
    expect(readFileSync(join(box, 'calls'), 'utf8')).toBe('install\nupdate\ninstall\n')
    program('apt-get', 'exit 100')
    expect(install().status).not.toBe(0)
    expect(readFileSync(policy(), 'utf8')).toBe('mine')
  })

  it('puts the policy back when it is interrupted', async () => {
    writeFileSync(policy(), 'mine')
    program('apt-get', 'touch "$HOME/started"; sleep 30')
    const child = spawn('bash', [join(root, 'setup', 'install.sh'), 'nginx'], { env: environment(), detached: true })
    const ended = new Promise((done) => child.once('close', done))
    await waitFor(() => existsSync(join(box, 'started')), { deadlineMs: 5000, what: 'apt-get' })
    // As the terminal does: to the whole group.
    process.kill(-(child.pid ?? 0), 'SIGINT')
    await ended
    expect(readFileSync(policy(), 'utf8')).toBe('mine')
    expect(readdirSync(box).filter((name) => name.includes('kept'))).toEqual([])
  })
})

describe('the build', () => {
  it('of two at once leaves one whole dist, and is not repeated', async () => {
    for (const name of ['setup', 'runtime', 'stock', 'package.json', 'package-lock.json', 'tsconfig.json']) {
      cpSync(join(root, name), join(box, name), { recursive: true })
    }
    symlinkSync(join(root, 'node_modules'), join(box, 'node_modules'))
    mkdirSync(join(box, 'lua'))
    writeFileSync(join(box, 'lua', 'a.lua'), 'return 1')
    const build = () =>
      new Promise((done) =>
        spawn(process.execPath, [join(box, 'setup', 'build.mjs')], { stdio: 'ignore' }).once('close', done),
      )
    expect(await Promise.all([build(), build(), build()])).toEqual([0, 0, 0])
    expect(existsSync(join(box, 'dist', 'stock', 'core', 'words.js'))).toBe(true)
    expect(readFileSync(join(box, 'dist', 'lua', 'a.lua'), 'utf8')).toBe('return 1')
    expect(readdirSync(box).filter((name) => name.startsWith('.dist'))).toEqual([])
    const check = (await import(join(box, 'setup', 'build.mjs'))) as { isBuilt: (root: string) => boolean }
    expect(check.isBuilt(box)).toBe(true)
    writeFileSync(join(box, 'lua', 'a.lua'), 'return 2')
    expect(check.isBuilt(box)).toBe(false)
  })
})

describe('bin/farebox', () => {
  it('says what to run when it is not built', () => {
    cpSync(join(root, 'bin'), join(box, 'bin'), { recursive: true })
    writeFileSync(join(box, 'package.json'), '{"type":"module"}')
    const { status, stderr } = spawnSync(process.execPath, [join(box, 'bin', 'farebox')], { encoding: 'utf8' })
    expect([status, stderr]).toEqual([69, expect.stringContaining('npm ci && npm run build') as string])
  })
})

describe('k6', () => {
  it('is found by --k6, K6_BIN, .tools and PATH, in this order, else a message says how', async () => {
    type Find = (root: string, args: string[], environment: NodeJS.ProcessEnv) => string | null
    const k6 = (await import(join(root, 'setup', 'k6.mjs'))) as {
      findK6: Find
      ensureK6: (...args: [...Parameters<Find>, (line: string) => void]) => string
    }
    program('k6', '')
    program('other', '')
    mkdirSync(join(box, '.tools'))
    const inPath = join(box, 'bin', 'k6')
    const other = join(box, 'bin', 'other')
    expect(k6.findK6(box, [], environment())).toBe(inPath)
    writeFileSync(join(box, '.tools', 'k6'), '')
    expect(k6.findK6(box, [], environment())).toBe(join(box, '.tools', 'k6'))
    expect(k6.findK6(box, [], environment({ K6_BIN: inPath }))).toBe(inPath)
    expect(k6.findK6(box, ['--k6', other], environment({ K6_BIN: inPath }))).toBe(other)
    expect(() => k6.findK6(box, ['--k6=/nowhere'], environment())).toThrow('there is no k6')
    expect(() => k6.ensureK6('/nowhere', [], { PATH: '/nowhere' }, () => undefined)).toThrow(
      'go install go.k6.io/k6/v2@v2.2.0',
    )
  })
})
