/** One buyer after the other over one kept connection, each purchase timed from its first byte to the last of the answer. */
import http from 'node:http'

export class Shopper {
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** What a buyer does before: looks at the sale. It opens the connection. */
  async look(saleId: string): Promise<void> {
    await this.#ask('GET', `/api/sales/${saleId}`, {})
  }

  /** Milliseconds. Rejects when it was not won. */
  async buyMs(saleId: string, fareId: string, token: string): Promise<number> {
    const beganMs = performance.now()
    const path = `/api/sales/${saleId}/fares/${fareId}/orders`
    const status = await this.#ask('POST', path, { authorization: `Bearer ${token}` })
    const tookMs = performance.now() - beganMs
    if (status !== 201) throw new Error(`a purchase at ${this.#url} was answered ${status}, not 201`)
    return tookMs
  }

  close(): void {
    this.#agent.destroy()
  }

  #ask(method: string, path: string, headers: Readonly<Record<string, string>>): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = http.request(new URL(path, this.#url), { method, agent: this.#agent, headers }, (response) => {
        response
          .resume()
          .on('end', () => resolve(response.statusCode ?? 0))
          .on('error', reject)
      })
      request.on('error', reject).end()
    })
  }
}

/**
 * Keeps the shopper's own side in practice, at a server that does nothing, for as long as it is told: a first purchase
 * must not pay for the waking of a process that slept until the opening.
 */
export async function practise(goesOn: () => boolean): Promise<void> {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(request.method === 'POST' ? 201 : 200).end('{}'))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const shopper = new Shopper(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`)
  await shopper.look('practice')
  while (goesOn()) await shopper.buyMs('practice', 'seat', 'x'.repeat(160))
  shopper.close()
  server.close()
}
