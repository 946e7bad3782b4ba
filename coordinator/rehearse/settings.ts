/** Fifty settings in which formula and trial are compared; `docs/planner.md` shows them. */
import type { Scene } from '../plan/buffer.ts'

const FLEETS = [
  [2, 1],
  [4, 1],
  [4, 3],
  [10, 7],
  [20, 15],
] as const
/** Purchases a second, and milliseconds from a deduction to its answer. */
const LOADS = [
  [500, 10],
  [2000, 10],
  [5000, 20],
  [1000, 50],
  [8000, 5],
] as const
const BUFFERS = [{ tickets: 1 }, { percent: 10 }, { tickets: 4 }, { percent: 25 }] as const

export const SETTINGS: readonly Scene[] = FLEETS.flatMap(([nodes, kill], fleet) =>
  LOADS.flatMap(([ratePerSecond, roundTripMs], load) =>
    [0, 1].map((turn): Scene => {
      const buffer = BUFFERS[(2 * (fleet + load) + turn) % BUFFERS.length] ?? BUFFERS[0]
      return {
        stock: 10_000,
        nodes,
        kill,
        ratePerSecond,
        roundTripMs,
        deadAfterMs: (fleet + load) % 3 === 0 ? 300 : 1500,
        heartbeatMs: (fleet + load) % 3 === 0 ? 100 : 250,
        skew: turn === 0 ? 1 : 2,
        limitPerBuyer: 2,
        buffer,
        remainingAtDeath: null,
      }
    }),
  ),
)
