/** How the network is; shares are of calls. */
export interface Weather {
  latencyMs: number
  /** The connection breaks; the command may or may not have arrived, and may arrive late. */
  cutShare: number
  /** The reply never comes. */
  noReplyShare: number
  /** The command is under way for long, and the caller gives up first. */
  lateShare: number
  /** The command arrives twice. */
  twiceShare: number
  /** Replies and requests overtake each other. */
  isReordering: boolean
  /** Counts what it did to anybody. */
  onEffect: () => void
}

export function calmWeather(latencyMs: number, isReordering: boolean): Weather {
  const shares = { cutShare: 0, noReplyShare: 0, lateShare: 0, twiceShare: 0 }
  return { latencyMs, ...shares, isReordering, onEffect: () => {} }
}
