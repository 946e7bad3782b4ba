/** Free ports. Between finding and using one a stranger may take it: whoever uses it must notice that. */
import net from 'node:net'

/** The wanted ports where they are free and not asked for twice, free ones elsewhere. All differ. */
export async function choosePorts(wanted: readonly (number | null)[]): Promise<number[]> {
  const servers: net.Server[] = []
  try {
    const ports: (number | null)[] = []
    for (const port of wanted) ports.push(port === null ? null : await hold(port, servers))
    const chosen: number[] = []
    for (const port of ports) chosen.push(port ?? (await hold(0, servers)) ?? 0)
    return chosen
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}

export async function isFree(port: number, host: string): Promise<boolean> {
  const servers: net.Server[] = []
  const held = await hold(port, servers, host)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return held !== null
}

function hold(port: number, servers: net.Server[], host = '127.0.0.1'): Promise<number | null> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(null))
    server.listen({ port, host, exclusive: true }, () => {
      servers.push(server)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : null)
    })
  })
}
