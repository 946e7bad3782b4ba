import type { BufferRule } from './words.ts'

/**
 * How many tickets of a fare a node may have in flight: its fair share of what remains, by weight, plus the
 * buffer, so that the others can sell what a dead node leaves. Never below one buyer's limit while anything
 * remains, so that no quantity a buyer may ask for is stuck; 0 at zero. `stock/redis/scripts/include/levels.lua`
 * is the same formula.
 *
 * Without live weight (all nodes silent, or this node draining) the share is 0 and the buffer alone is left.
 */
export function allowanceOf(input: {
  readonly remaining: number
  readonly weight: number
  readonly liveWeight: number
  readonly limitPerBuyer: number
  readonly buffer: BufferRule
}): number {
  if (input.remaining <= 0) return 0
  const hasShare = input.liveWeight > 0 && input.weight > 0
  const weighted = hasShare ? input.weight * input.remaining : 0
  const divisor = hasShare ? input.liveWeight : 1
  const share = Math.ceil(weighted / divisor)
  return Math.max(input.limitPerBuyer, share + bufferOf(input.buffer, weighted, divisor))
}

function bufferOf(rule: BufferRule, weighted: number, divisor: number): number {
  if ('tickets' in rule) return rule.tickets
  return Math.max(1, Math.ceil((weighted * rule.percent) / (divisor * 100)))
}
