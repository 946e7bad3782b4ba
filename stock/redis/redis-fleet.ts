/** The fleet's verbs over Redis. */
import { ORDERS_FORGOTTEN_AFTER_MS } from '../core/fleet-record.ts'
import type { FleetNode, FleetSnapshot, FleetStore, NodeState } from '../port.ts'
import type { Connection, Reply } from './connection.ts'
import { FLEET_KEYS } from './keys.ts'
import { fieldsOf, listOf } from './records.ts'
import { parseWire, stoppedOf, versionOf, type WireHead } from './wire.ts'

interface WireReply extends WireHead {
  readonly epoch: number
  readonly weight: number
  readonly memberState: NodeState
  readonly now: number
  readonly lease: number
  readonly leaderId: string
}

const { fleet, nodes, orders, sales } = FLEET_KEYS

export function redisFleet(connection: Connection): FleetStore {
  const lead: FleetStore['lead'] = async (coordinator, ttlMs) => {
    const wire = parseWire<WireReply>(
      await connection.run('fleet-lead', [fleet], [coordinator.id, coordinator.adminUrl, ttlMs]),
    )
    if (wire.outcome === 'leading') return { outcome: 'leading', lease: wire.lease }
    return stoppedOf(wire) ?? { outcome: 'following', leaderId: wire.leaderId }
  }
  return {
    async read() {
      return snapshotOf(listOf(await connection.run('fleet-read', [fleet, nodes, sales, orders], [])))
    },
    async agreeOnConfig(hash, deadAfterMs) {
      return { hash: String(await connection.run('fleet-agree', [fleet, nodes], [hash, deadAfterMs])) }
    },
    async certify(expectedEra, era) {
      const wire = parseWire<WireReply>(await connection.run('fleet-certify', [fleet], [expectedEra, era]))
      return { outcome: wire.outcome === 'certified' ? 'certified' : 'lost_race', version: versionOf(wire) }
    },
    async addSale(saleId) {
      await connection.call('SADD', sales, saleId)
    },
    async join(node) {
      const args = [node.id, node.weight, node.url, node.adminUrl]
      const wire = parseWire<WireReply>(await connection.run('fleet-join', [fleet, nodes], args))
      return stoppedOf(wire) ?? { outcome: 'joined', epoch: wire.epoch, weight: wire.weight }
    },
    async heartbeat(node) {
      const reply = await connection.run('fleet-heartbeat', [fleet, nodes, sales], [node.id, node.epoch])
      const [json, ...saleIds] = listOf<string>(reply)
      const wire = parseWire<WireReply>(json)
      return (
        stoppedOf(wire) ?? {
          outcome: 'alive',
          state: wire.memberState,
          weight: wire.weight,
          saleIds: saleIds.toSorted(),
          nowMs: wire.now,
        }
      )
    },
    lead,
    async resign(coordinatorId) {
      await lead({ id: coordinatorId, adminUrl: '' }, 0)
    },
    async announceOrders({ id, url, adminUrl }) {
      const args = [id, url, adminUrl, ORDERS_FORGOTTEN_AFTER_MS]
      return { nowMs: Number(await connection.run('fleet-announce-orders', [fleet, orders], args)) }
    },
    async resignOrders(id) {
      await connection.run('fleet-resign-orders', [fleet, orders], [id])
    },
    async setNodes(lease, changes, expected) {
      const wanted = changes.map((change) => [change.id, change.expectedEpoch, change.state ?? '', change.weight ?? ''])
      const wire = parseWire<WireReply>(
        await connection.run(
          'fleet-set-nodes',
          [fleet, nodes],
          [lease ?? '', JSON.stringify(wanted), expected?.era ?? '', expected?.seq ?? ''],
        ),
      )
      const outcome = wire.outcome === 'changed' || wire.outcome === 'outdated' ? wire.outcome : 'refused'
      return stoppedOf(wire) ?? { outcome, version: versionOf(wire) }
    },
    async noteApplied(lease, { era, seq }) {
      const wire = parseWire<WireReply>(await connection.run('fleet-note-applied', [fleet], [lease, era, seq]))
      return stoppedOf(wire) ?? { outcome: wire.outcome === 'noted' ? 'noted' : 'refused' }
    },
  }
}

function snapshotOf(reply: readonly Reply[]): FleetSnapshot {
  const fields = fieldsOf(listOf(reply[0]))
  const nowMs = Number(reply[3])
  const leaderId = fields.get('leader_id')
  const untilMs = Number(fields.get('leader_until') ?? 0)
  return {
    nowMs,
    version: { era: Number(fields.get('era') ?? 0), seq: Number(fields.get('seq') ?? 0) },
    certified: fields.get('certificate') === String(reply[4]),
    nodes: [...fieldsOf(listOf(reply[1]))].map(parseNode).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    orders: [...fieldsOf(listOf(reply[5]))].map(parseOrdersProcess).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    saleIds: listOf<string>(reply[2]).toSorted(),
    leader:
      leaderId === undefined || untilMs <= nowMs
        ? null
        : { id: leaderId, adminUrl: fields.get('leader_url') ?? '', lease: Number(fields.get('lease')), untilMs },
    configHash: fields.get('config_hash') ?? null,
    applied: { era: Number(fields.get('applied_era') ?? 0), seq: Number(fields.get('applied_seq') ?? 0) },
  }
}

function parseNode([id, text]: [string, string]): FleetNode {
  const [epoch, state, weight, lastSeenMs, url = '', adminUrl = ''] = text.split(' ')
  return {
    id,
    epoch: Number(epoch),
    state: state as NodeState,
    weight: Number(weight),
    lastSeenMs: Number(lastSeenMs),
    url,
    adminUrl,
  }
}

function parseOrdersProcess([id, text]: [string, string]): FleetSnapshot['orders'][number] {
  const [lastSeenMs, url = '', adminUrl = ''] = text.split(' ')
  return { id, url, adminUrl, lastSeenMs: Number(lastSeenMs) }
}
