/** Does the store keep what `ack` promises? Asked at start and whenever the store begins a new life. */
import type { LoadedConfig } from '../config/load.ts'
import type { StockPort } from '../stock/port.ts'

/** Empty when all is well. Settings are told with what was found and what is needed. */
export async function durabilityFaults(stock: StockPort, { config }: LoadedConfig): Promise<readonly string[]> {
  // With `ack: ledger` whatever the store loses of what was told is brought back from the ledger.
  if (config.ack === 'none' || config.ack === 'ledger') return []
  const { durable, replicas, faults } = await stock.durability()
  const missing = config.ack === 'replicated' && replicas < config.redis.replicas
  return [
    ...(durable === null && !config.redis.durable
      ? ['Redis forbids CONFIG, so its durability cannot be checked; redis.durable: true declares it']
      : faults),
    ...(missing ? [`connected replicas are ${replicas}, redis.replicas asks for ${config.redis.replicas}`] : []),
  ]
}
