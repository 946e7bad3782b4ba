/** What every script's JSON reply has in common. */
import type { Version } from '../core/words.ts'
import type { Stopped } from '../port.ts'
import type { Reply } from './connection.ts'

export interface WireHead {
  readonly outcome: string
  readonly era: number
  readonly seq: number
}

/** The caller names what else the script sends; which members are there depends on `outcome`. */
export function parseWire<Wire extends WireHead>(reply: Reply | undefined): Wire {
  if (typeof reply !== 'string') throw new Error('a script answered something else than text')
  return JSON.parse(reply) as Wire
}

export function versionOf({ era, seq }: WireHead): Version {
  return { era, seq }
}

export function stoppedOf(wire: WireHead): Stopped | null {
  if (wire.outcome === 'recovering') return { outcome: 'recovering' }
  return wire.outcome === 'fenced' ? { outcome: 'fenced', version: versionOf(wire) } : null
}
