/**
 * RFC 3339, UTC, milliseconds, `Z`. An order holds three times, and the times of a rush lie in few distinct seconds, so
 * the text of a second is kept; a slot of the table is found by the second's last bits.
 */
const SLOTS = 256
const seconds = new Float64Array(SLOTS).fill(-1)
const texts = Array.from({ length: SLOTS }, () => '')
const MILLISECONDS = Array.from({ length: 1000 }, (_, ms) => `.${String(ms).padStart(3, '0')}Z`)

/** `ms` since 1970; a fraction of a millisecond is cut off. */
export function isoTime(ms: number): string {
  const second = Math.floor(ms / 1000)
  const slot = second & (SLOTS - 1)
  if (seconds[slot] !== second) {
    texts[slot] = new Date(second * 1000).toISOString().slice(0, 19)
    seconds[slot] = second
  }
  return (texts[slot] as string) + (MILLISECONDS[Math.floor(ms) - second * 1000] as string)
}
