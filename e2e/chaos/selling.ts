/** What is done with a sale around the faults: wait until it sells again, sell what is left, ask what is kept of it. */
import { Rush, type History } from '../client.ts'
import type { Cluster } from '../cluster.ts'
import { wishOf } from '../rush.ts'
import { until } from '../wait.ts'

const SELLS_AGAIN_WITHIN_MS = 30_000
const WELL_WITHIN_MS = 60_000

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
  for (const { id, adminUrl } of cluster.view.nodes) {
    await until(
      `node ${id} to sell`,
      async () => {
        const state = (await fetch(`${adminUrl}/state`)
          .then((answer) => answer.json())
          .catch(() => ({}))) as { sales?: { saleId: string; recovering: boolean; state: string }[] }
        return state.sales?.some((sale) => sale.saleId === saleId && !sale.recovering && sale.state === 'open') ?? false
      },
      SELLS_AGAIN_WITHIN_MS,
    )
  }
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
