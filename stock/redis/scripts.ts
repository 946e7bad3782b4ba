/** Assembles the Lua scripts from their files: includes are pasted in, the status table comes from TypeScript. */
import { readFileSync } from 'node:fs'
import { STATUS_NUMBERS } from '../core/status.ts'

/** Number of keys each script takes. */
const KEY_COUNTS = {
  'create-sale': 5,
  'read-sale': 2,
  'begin-turn': 1,
  'change-state': 2,
  'set-stock': 2,
  'set-weights': 2,
  join: 2,
  heartbeat: 3,
  confirm: 5,
  settle: 4,
  witness: 1,
  'read-events': 2,
  'trim-events': 2,
  'certify-sale': 3,
  'begin-union': 1,
  reassert: 3,
  'open-union': 3,
  'fleet-read': 4,
  'fleet-agree': 2,
  'fleet-certify': 1,
  'fleet-join': 2,
  'fleet-heartbeat': 3,
  'fleet-lead': 1,
  'fleet-set-nodes': 2,
  'fleet-announce-orders': 2,
  'fleet-note-applied': 1,
  'fleet-resign-orders': 2,
} as const

export type ScriptName = keyof typeof KEY_COUNTS
export const SCRIPT_NAMES = Object.keys(KEY_COUNTS) as ScriptName[]

/** Where clock and fingerprint come from: the store itself, or values laid down for conformance and simulation. */
export type World = 'redis' | 'fixed'

const SCRIPTS_URL = new URL('./scripts/', import.meta.url)

function readScript(name: string): string {
  return readFileSync(new URL(`${name}.lua`, SCRIPTS_URL), 'utf8')
}

function includeText(name: string, world: World): string {
  if (name === 'status') {
    const entries = Object.entries(STATUS_NUMBERS).map(([status, number]) => `  ${status} = ${number},`)
    return ['local STATUS = {', ...entries, '}', ''].join('\n')
  }
  return readScript(`include/${name === 'world' && world === 'fixed' ? 'world-fixed' : name}`)
}

/** The whole text of a script as Redis gets it. */
export function assembleScript(name: ScriptName, world: World = 'redis'): string {
  return readScript(name).replaceAll(/^-- @include (\S+)$/gm, (_line, include: string) => includeText(include, world))
}

/** For ioredis: every script as a command `fb_<name>`. */
export function scriptDefinitions(
  world: World,
  edit: (name: ScriptName, lua: string) => string = (_name, lua) => lua,
): Record<string, { lua: string; numberOfKeys: number }> {
  return Object.fromEntries(
    SCRIPT_NAMES.map((name) => [
      commandName(name),
      { lua: edit(name, assembleScript(name, world)), numberOfKeys: KEY_COUNTS[name] },
    ]),
  )
}

export function commandName(name: ScriptName): string {
  return `fb_${name.replaceAll('-', '_')}`
}
