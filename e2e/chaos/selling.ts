/** What is done with a sale around the faults: wait until it sells again, sell what is left, ask what is kept of it. */
import { Rush, type History } from '../client.ts'
import type { Cluster, NodeView } from '../cluster.ts'
import { wishOf } from '../rush.ts'
import { until } from '../wait.ts'

const SELLS_AGAIN_WITHIN_MS = 30_000
const WELL_WITHIN_MS = 60_000
/** A node that is stopped does not answer. */
const STATE_WITHIN_MS = 1000

/** Whatever a round has left, broken or not, is well before the next one begins. */
export async function untilWell(cluster: Cluster): Promise<void> {
  let problems = ''
  const isWell = async (): Promise<boolean> => {
    const { json } = await cluster.farebox('status')
    const { ok, problems: found } = json as { readonly ok?: boolean; readonly problems?: readonly string[] }
    problems = found?.join('; ') ?? JSON.stringify(json)
    return ok === true
  }
  await until('status to be well', isWell, WELL_WITHIN_MS).catch((cause: unknown) => {
    throw new Error(`the cluster did not become well again: ${problems}`, { cause })
  })
}

/** Every node sells: asked one by one, so that nobody is spared by the others. */
export async function untilSelling(cluster: Cluster, saleId: string): Promise<void> {
  for (const node of cluster.view.nodes) {
    const sells = async (): Promise<boolean> => {
      const sale = await saleStateOf(node, saleId)
      return sale !== null && !sale.recovering && sale.state === 'open'
    }
    await until(`node ${node.id} to sell`, sells, SELLS_AGAIN_WITHIN_MS)
  }
}

interface SaleState {
  readonly saleId: string
  readonly era: number
  readonly recovering: boolean
  readonly state: string
}

/** Null while the node does not answer or does not know the sale. */
export async function saleStateOf({ adminUrl }: NodeView, saleId: string): Promise<SaleState | null> {
  const state = (await fetch(`${adminUrl}/state`, { signal: AbortSignal.timeout(STATE_WITHIN_MS) })
    .then((answer) => answer.json())
    .catch(() => ({}))) as { readonly sales?: readonly SaleState[] }
  return state.sales?.find((sale) => sale.saleId === saleId) ?? null
}

/** Fresh buyers, one ticket each, until nobody gets one: `most` is more than can be left. */
export async function sellTheRest(cluster: Cluster, saleId: string, most: number): Promise<History> {
  const buyers = await cluster.tokens(most, `${saleId}-late-`)
  const rush = new Rush(
    buyers.map((buyer) => wishOf(buyer, { saleId })),
    { target: () => cluster.view.url, attemptsMax: 200 },
  )
  return rush.run()
}

/** Ids of the orders that the ledger has. */
export async function keptOrders(cluster: Cluster, saleId: string): Promise<string[]> {
  const { items } = await cluster.read<{ items: { id: string }[] }>('sale', 'export', saleId)
  return items.map(({ id }) => id)
}
