/**
 * Free ports of loopback. Between finding and using one a stranger may take it: whoever uses it must notice that. They
 * are looked for below the ports that Linux gives to outgoing connections (32768 and above, `ip_local_port_range`), of
 * which a busy machine may take any at any moment.
 */
import net from 'node:net'
import { systemRandom } from './random.ts'

/** Above the highest of the ports that browsers and `fetch` refuse (Fetch Standard, "port blocking"): 10080. */
const LOWEST = 10_081
const HIGHEST = 32_767
/** So many taken ones in a row mean that something else is wrong. */
const TRIES = 200

export async function freePort(): Promise<number> {
  const [port = 0] = await choosePorts([null])
  return port
}

/** The wanted ports where they are free and not asked for twice, free ones elsewhere. All differ. */
export async function choosePorts(wanted: readonly (number | null)[]): Promise<number[]> {
  const servers: net.Server[] = []
  try {
    const ports: (number | null)[] = []
    for (const port of wanted) ports.push(port === null ? null : await hold(port, servers))
    const chosen: number[] = []
    for (const port of ports) chosen.push(port ?? (await holdAny(servers)))
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

async function holdAny(servers: net.Server[]): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = await hold(LOWEST + systemRandom.below(HIGHEST - LOWEST + 1), servers)
    if (port !== null) return port
  }
  throw new Error(`no free port on 127.0.0.1 between ${LOWEST} and ${HIGHEST} in ${TRIES} tries`)
}

function hold(port: number, servers: net.Server[], host = '127.0.0.1'): Promise<number | null> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(null))
    server.listen({ port, host, exclusive: true }, () => {
      servers.push(server)
      resolve(port)
    })
  })
}
