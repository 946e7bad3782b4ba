/** A process of its own on the servers' core: one confirm call of one item after the other. Prints the p50 in ms. */
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import { median } from '../report/verdicts.ts'
import { Confirmer } from './confirmer.ts'

const [url = '', seconds = '3'] = process.argv.slice(2)
const stock = await connectRedisStock({ url, commandTimeoutMs: 5000 })
const confirmer = await Confirmer.join(stock, 'trip')
const WARM_UP = 3000
for (let n = 0; n < WARM_UP; n += 1) await confirmer.confirm(1)
const times: number[] = []
const until = performance.now() + Number(seconds) * 1000
while (performance.now() < until) {
  const before = performance.now()
  await confirmer.confirm(1)
  times.push(performance.now() - before)
}
await stock.close()
process.stdout.write(`${median(times)}\n`)
