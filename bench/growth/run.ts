/** A curve: every point on a system of its own. */
import { Interrupted } from '../cluster/processes.ts'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeRequests } from '../ratios/requests.ts'
import { fareAt } from '../ratios/site.ts'
import type { GrowthPoint, GrowthRun } from '../report/document.ts'
import type { Axis } from './axes.ts'
import { measurePoint } from './point.ts'

export interface GrowthOptions {
  readonly seconds: number
  readonly connections: number
  readonly isQuick: boolean
  readonly say: (line: string) => void
}

const REQUESTS_PER_SECOND_MAX = 110_000
const WARM_UP_AND_KNOWN = 160_000

export async function runGrowth(axis: Axis, { seconds, connections, isQuick, say }: GrowthOptions): Promise<GrowthRun> {
  const wanted = isQuick ? axis.quickAt : axis.at
  const startedAtMs = Date.now()
  const points: GrowthPoint[] = []
  for (const x of wanted) {
    const directory = mkdtempSync(join(tmpdir(), 'farebox-growth-'))
    try {
      const secret = randomBytes(32).toString('hex')
      const settings = axis.settings(x)
      const count = WARM_UP_AND_KNOWN + seconds * REQUESTS_PER_SECOND_MAX
      const fareOf = (index: number): string => fareAt(1 + (index % settings.fares))
      const file = await writeRequests(join(directory, 'requests'), secret, count, fareOf)
      const point = await measurePoint(x, settings, { directory, secret, file, seconds, connections })
      points.push(point)
      say(`  ${x} ${axis.axis}: ${JSON.stringify(point)}`)
    } catch (error) {
      if (error instanceof Interrupted) throw error
      // No point: the report names it as missing.
      say(`  ${x} ${axis.axis}: ${error instanceof Error ? error.message : String(error)}`)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
  const { name, title, about, bound } = axis
  return {
    kind: 'growth',
    step: name,
    id: name,
    title,
    about,
    startedAtMs,
    endedAtMs: Date.now(),
    settings: { seconds, connections },
    error: null,
    axis: axis.axis,
    wanted,
    points,
    bound,
  }
}
