/** Following a sale's events, and forgetting old ones. The Lua twins are read-events, trim-events and heartbeat. */
import { certificateFault } from './fence.ts'
import { type SaleEvent, type SaleRecord, stateAt, type StoreContext, versionOf } from './sale-record.ts'
import { compareVersions, type Version } from './words.ts'
import type { EventsPage, TrimReply, WinnersPage } from '../port.ts'

/** Have events after this version been trimmed? */
function isLost(record: SaleRecord, after: Version): boolean {
  return compareVersions(after, record.trimmed) < 0
}

/** Events are in the order of their versions, and whoever asks has mostly read all but the newest. */
function firstAfter(record: SaleRecord, after: Version): number {
  let place = record.events.length
  while (place > 0 && compareVersions((record.events[place - 1] as SaleEvent).version, after) > 0) place -= 1
  return place
}

function eventsAfter(record: SaleRecord, after: Version): SaleEvent[] {
  return record.events.slice(firstAfter(record, after))
}

export function readEvents(record: SaleRecord, after: Version, limit: number, context: StoreContext): EventsPage {
  const certified = certificateFault(record, after, context) === null
  const lost = isLost(record, after)
  const further = lost ? [] : eventsAfter(record, after)
  const read: SaleEvent[] = []
  let orders = 0
  for (const event of further) {
    if (orders >= limit || read.length >= limit) break
    read.push(event)
    orders += event.made.length
  }
  return {
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    certified,
    orders: read.flatMap((event) => event.made),
    upTo: read.at(-1)?.version ?? after,
    complete: !lost && read.length === further.length,
    lost,
  }
}

export function trimEvents(record: SaleRecord | undefined, upTo: Version, context: StoreContext): TrimReply {
  const stopped = certificateFault(record, upTo, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  const kept = eventsAfter(record, upTo)
  const events = record.events.length - kept.length
  const newest = record.events[events - 1]
  if (newest !== undefined) record.trimmed = newest.version
  record.events = kept
  return {
    outcome: 'trimmed',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    events,
  }
}

export function winnersAfter(record: SaleRecord, after: Version, limit: number): WinnersPage {
  if (isLost(record, after))
    return { buyers: [], orderIds: [], settled: [], cursor: after, complete: false, lost: true }
  const first = firstAfter(record, after)
  const events = record.events.slice(first, first + limit)
  const complete = events.length < limit
  const [buyers, orderIds, settled]: [string[], string[], string[]] = [[], [], []]
  for (const event of events) {
    for (const { buyer, id } of event.made) {
      buyers.push(buyer)
      orderIds.push(id)
    }
    for (const id of event.settled) settled.push(id)
  }
  return {
    buyers,
    orderIds,
    settled,
    cursor: complete ? versionOf(record) : (events.at(-1)?.version ?? after),
    complete,
    lost: false,
  }
}
