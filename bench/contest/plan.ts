/** What every sample of a comparison shares: the file of requests, each of a distinct buyer. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Plan } from '../ratios/contenders.ts'
import { writeRequests } from '../ratios/requests.ts'

const WARM_UP_SECONDS = 2
/** More than any server here answers in a second, so that no buyer comes twice in a sample of purchases. */
const REQUESTS_PER_SECOND_MAX = 110_000

export interface Length {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
}

export async function makePlan(directory: string, { rounds, seconds, connections }: Length): Promise<Plan> {
  const secret = randomBytes(32).toString('hex')
  const warmUpCount = WARM_UP_SECONDS * REQUESTS_PER_SECOND_MAX
  const count = warmUpCount + seconds * REQUESTS_PER_SECOND_MAX
  const file = await writeRequests(join(directory, 'requests'), secret, count)
  return { directory, secret, file, pairs: rounds, seconds, connections, warmUpSeconds: WARM_UP_SECONDS, warmUpCount }
}
