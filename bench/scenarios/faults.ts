/** What happens to the cluster while buyers come. Everything is hit by its own pid. */
import { setTimeout as pause } from 'node:timers/promises'
import { RULES } from '../ratios/site.ts'
import type { Stage } from './spec.ts'

/** How long Redis stands still, each time; the last is longer than a node waits for a reply. */
const PULSES_MS = [200, 400, 800, 1300]
const BETWEEN_PULSES_MS = 1000

/** The load tool takes its time to begin: nothing is to happen before there is somebody whom it can hit. */
function someoneBought({ cluster }: Stage): () => Promise<boolean> {
  return async () => {
    const sale = await cluster.stock.sales.read(cluster.saleId, RULES)
    return sale?.fares.some(({ held, paid }) => held + paid > 0) === true
  }
}

/** Redis stops and goes on, as on a machine that swaps, saves, or is moved. */
export async function pulseRedis(stage: Stage): Promise<void> {
  const { pid } = stage.cluster.view.redis
  let pulses = 0
  await stage.until(someoneBought(stage))
  try {
    for (const pulseMs of PULSES_MS) {
      if ((await stage.until(waited(BETWEEN_PULSES_MS))) === 'over') break
      stage.mark(`Redis stands still for ${pulseMs} ms`)
      process.kill(pid, 'SIGSTOP')
      await pause(pulseMs)
      process.kill(pid, 'SIGCONT')
      pulses += 1
    }
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  stage.tell({ name: 'times that Redis stood still', value: pulses > 0 ? pulses : null, unit: '' })
}

/** The whole fleet, node by node, by the operator's command. */
export async function rollFleet(stage: Stage): Promise<void> {
  await stage.until(someoneBought(stage))
  await stage.until(waited(stage.size.seconds * 200))
  const excused = stage.cluster.view.nodes.map(({ id }) => stage.excuse(id))
  stage.mark('farebox roll')
  const fromMs = stage.nowMs()
  const roll = await stage.cluster.farebox('roll', '--json', '--yes')
  for (const end of excused) end()
  stage.mark(`roll ended with ${roll.code}`)
  if (/unknown command/.test(roll.stderr + roll.stdout))
    throw new Error('farebox roll is not available in this version')
  if (roll.code !== 0) throw new Error(`farebox roll ended with ${roll.code}: ${roll.stderr || roll.stdout}`)
  stage.tell({ name: 'time of the roll', value: stage.nowMs() - fromMs, unit: 'ms' })
  stage.tell({ name: 'restarted while buyers came (1: yes)', value: stage.isOver() ? null : 1, unit: '' })
}

export function waited(ms: number): () => boolean {
  const untilMs = performance.now() + ms
  return () => performance.now() >= untilMs
}
