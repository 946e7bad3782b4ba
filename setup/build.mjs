/**
 * Builds dist/: TypeScript compiled, other assets copied beside it, the command line in one file, an empty ledger.
 *
 * It is built aside and then moved into place, so that a running cluster and a second build never see half of it.
 */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createHash } from 'node:crypto'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** `-worker.mjs`: threads start from a file as it lies on the disk. */
const ASSETS = ['.lua', '.yaml', '.sql', '-worker.mjs']
/** By path from the root; `bench/k6` is stripped of its types by k6 itself. */
const SKIPPED = new Set(['node_modules', 'dist', 'web', 'bench/k6', 'bench/results', 'docs', 'setup', 'bin', 'e2e'])

/** As `orders/ledger/template.ts` looks for it. */
const TEMPLATE = 'ledger-template'
/** What else decides what is built. */
const RECIPE = [
  'tsconfig.json',
  'setup/tsconfig.build.json',
  'setup/build.mjs',
  'setup/bundle.mjs',
  'package-lock.json',
]

/** Every file that goes into dist/, relative to the root, sorted. @param {string} root @returns {string[]} */
export function sourceFiles(root) {
  return walk(root, root).toSorted()
}

/** @param {string} root @param {string} dir @returns {string[]} */
function walk(root, dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    if (entry.name.startsWith('.') || SKIPPED.has(relative(root, path))) return []
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : walk(root, path)
    return entry.name.endsWith('.ts') || isAsset(entry.name) ? [relative(root, path)] : []
  })
}

/** @param {string} name */
function isAsset(name) {
  return ASSETS.some((ending) => name.endsWith(ending))
}

/** By content, since a checkout sets every time anew. @param {string} root */
export function sourceHash(root) {
  const hash = createHash('sha256')
  for (const path of [...RECIPE, ...sourceFiles(root)]) {
    const content = readFileSync(join(root, path))
    hash.update(`${path}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

/** @param {string} root */
export function isBuilt(root) {
  const stamp = join(root, 'dist', '.source-hash')
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceHash(root)
}

/** @param {string} root @returns {boolean} false when the compiler found errors, which it printed */
export function build(root) {
  const hash = sourceHash(root)
  const draft = mkdtempSync(join(root, '.dist-draft-'))
  try {
    const run = (program, ...args) => spawnSync(program, args, options(root, draft)).status === 0
    const bin = (name) => join(root, 'node_modules', '.bin', name)
    if (!run(bin('tsc'), '-p', join('setup', 'tsconfig.build.json'), '--outDir', draft)) return false
    for (const path of sourceFiles(root).filter(isAsset)) cpSync(join(root, path), join(draft, path))
    const hasCli = existsSync(join(draft, 'coordinator', 'cli', 'main.js'))
    if (hasCli && !run(bin('rolldown'), '--config', join('setup', 'bundle.mjs'), '--log-level', 'warn')) return false
    const template = join(draft, 'orders', 'ledger', 'build-template.js')
    const former = join(root, 'dist', TEMPLATE)
    if (existsSync(template) && !run(process.execPath, template, join(draft, TEMPLATE), former)) return false
    writeFileSync(join(draft, '.source-hash'), hash)
    swap(root, draft)
    return true
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

/** Nothing that a step prints is the output of whoever builds. @param {string} root @param {string} draft */
function options(root, draft) {
  /** @type {import('node:child_process').StdioOptions} */
  const stdio = ['ignore', 2, 2]
  return { cwd: root, stdio, env: { ...process.env, FAREBOX_BUNDLE_DIST: draft } }
}

/**
 * A directory cannot replace one that has files in it, so the old one steps aside first. Of two builds at once either
 * may win; the loser tries again.
 * @param {string} root @param {string} draft
 */
function swap(root, draft) {
  const dist = join(root, 'dist')
  const aside = `${draft}.old`
  for (let tries = 0; ; tries++) {
    try {
      if (existsSync(dist)) renameSync(dist, aside)
      renameSync(draft, dist)
      break
    } catch (error) {
      if (tries >= 20 || !['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error
    } finally {
      rmSync(aside, { recursive: true, force: true })
    }
  }
}

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

if (process.argv[1] && statSync(process.argv[1]).ino === statSync(fileURLToPath(import.meta.url)).ino) {
  process.exitCode = isBuilt(ROOT) || build(ROOT) ? 0 : 1
}
