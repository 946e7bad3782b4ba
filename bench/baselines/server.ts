/**
 * A baseline as a process: `node server.js NAME PORT STORE STOCK PROCESSES CONNECTIONS_MAX [first]`, the secret in
 * the environment. The same route, request and answers as a node's; beside it, for the bench, what it has counted and
 * how tickets come back.
 */
import type { HttpResponse } from 'uWebSockets.js'
import { Identifier } from '../../http/identity.ts'
import uws from '../../http/uws.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'
import type { Baseline } from './baseline.ts'
import { BASELINES } from './all.ts'
import { answer, type Asked, readBuy } from './exchange.ts'

const [name = '', port, store = '', stock, processes, connectionsMax, role] = process.argv.slice(2)
const entry = BASELINES[name]
if (entry === undefined) throw new Error(`there is no baseline ${name}`)
const baseline: Baseline = await entry.make({
  store,
  stock: Number(stock),
  isFirst: role === 'first',
  processes: Number(processes),
  connectionsMax: Number(connectionsMax),
})
const secret = process.env['FAREBOX_IDENTITY_SECRET'] ?? ''
const identity = { mode: 'token', secret, publicKeyPems: [], issuer: null, audience: null } as const
const identifier = new Identifier(identity, systemClock, systemRandom)
const counts: Record<string, number> = { won: 0, replayed: 0, refused: 0, again: 0, unauthenticated: 0, aborted: 0 }

async function buy(asked: Asked): Promise<void> {
  const identified = identifier.identify(asked.authorization)
  const sold = identified.outcome === 'known' ? await sell(identified.buyer, asked.key) : 'unauthenticated'
  counts[sold] = (counts[sold] ?? 0) + 1
  if (asked.isGone) counts['aborted'] = (counts['aborted'] ?? 0) + 1
  answer(asked, sold)
}

async function sell(buyer: string, key: string): Promise<string> {
  try {
    return await baseline.buy(buyer, key)
  } catch {
    return 'again'
  }
}

/** For the bench alone. */
async function tell(response: HttpResponse, work: () => Promise<unknown>): Promise<void> {
  let isGone = false
  response.onAborted(() => void (isGone = true))
  const text = JSON.stringify(await work())
  if (!isGone) response.cork(() => void response.end(text))
}

uws
  .App()
  .post('/api/sales/:sale/fares/:fare/orders', (response, request) =>
    readBuy(response, request, (asked) => void buy(asked)),
  )
  .get('/counts', (response) => void tell(response, async () => ({ ...(await baseline.count()), outcomes: counts })))
  .post('/return/:count', (response, request) => {
    const count = Number(request.getParameter(0))
    void tell(response, async () => {
      await baseline.giveBack(count)
      return {}
    })
  })
  .listen('127.0.0.1', Number(port), (socket) => {
    process.stdout.write(socket === false ? 'port taken\n' : 'listening\n')
  })
