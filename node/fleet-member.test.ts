import { describe, expect, it } from 'vitest'
import { createLogger } from '../runtime/logger.ts'
import { createMemoryStock } from '../stock/memory/memory-stock.ts'
import { FleetMember } from './fleet-member.ts'

const LOGGER = createLogger({ level: 'silent' })

describe('FleetMember', () => {
  it('joins anew when the fleet calls it dead under the very epoch it has', async () => {
    let nowMs = 1_000_000
    const { fleet } = createMemoryStock({ nowMs: () => nowMs, fingerprint: () => 'life' })
    await fleet.certify(0, 1)
    const self = { id: 'n1', url: 'http://n1', adminUrl: 'http://n1', weight: 1 }
    const member = new FleetMember(fleet, LOGGER, self)
    // As after a copy was restored that had not seen the newest join: it joined as epoch 2, the copy knows of 1.
    await fleet.join(self)
    await member.heartbeat()
    expect(member.epoch).toBe(2)
    const older = createMemoryStock({ nowMs: () => nowMs, fingerprint: () => 'life' }).fleet
    await older.certify(0, 1)
    await older.join(self)
    Object.assign(fleet, older)
    const lead = await fleet.lead({ id: 'c1', adminUrl: 'http://c1' }, 1500)
    if (lead.outcome !== 'leading') throw new Error('nobody else leads')
    await fleet.setNodes(lead.lease, [{ id: 'n1', expectedEpoch: 1, state: 'dead' }])

    nowMs += 250
    expect(await member.heartbeat()).toBeNull()
    expect(await member.heartbeat()).toMatchObject({ state: 'live', weight: 1 })
    expect((await fleet.read()).nodes).toMatchObject([{ id: 'n1', state: 'live', epoch: 3 }])
  })
})
