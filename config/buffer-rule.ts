import type { BufferRule } from '../stock/core/words.ts'
import type { Config } from './options.ts'

/** `quota.buffer` as the scripts need it: `25` is tickets, `"10%"` is a share. */
export function bufferRule(buffer: Config['quota']['buffer']): BufferRule {
  return typeof buffer === 'number' ? { tickets: buffer } : { percent: Number(buffer.slice(0, -1)) }
}
