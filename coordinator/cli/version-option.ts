import type { Version } from '../../stock/core/words.ts'
import { CliError, EXIT } from './frame.ts'

export const EXPECT_OPTION = [
  '--expect <version>',
  'refuse unless this is still the version (era.seq, as a look or a dry run showed it)',
] as const

/** `3.17` → era 3, seq 17. */
export function parseVersion(text: string | undefined): Version | null {
  if (text === undefined) return null
  const [, era, seq] = /^(\d{1,12})\.(\d{1,15})$/.exec(text) ?? []
  if (era !== undefined && seq !== undefined) return { era: Number(era), seq: Number(seq) }
  throw new CliError(EXIT.usage, 'usage', `--expect ${text}: a version such as 3.17 is expected`)
}

export function versionText({ era, seq }: Version): string {
  return `${era}.${seq}`
}
