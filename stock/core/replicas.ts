/** Do replicas have what the store holds? `witness.lua` is the fence of the same in Redis. */
import { certificateFault } from './fence.ts'
import { type SaleRecord, type StoreContext, versionOf } from './sale-record.ts'
import type { Version } from './words.ts'
import type { ReplicasReply, Stopped } from '../port.ts'

export function awaitReplicas(
  record: SaleRecord | undefined,
  seen: Version,
  wanted: number,
  having: number,
  context: StoreContext,
): ReplicasReply | Stopped {
  const stopped = certificateFault(record, seen, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  if (seen.era !== record.era) return { outcome: 'fenced', version: versionOf(record) }
  return { outcome: having >= wanted ? 'replicated' : 'lagging' }
}
