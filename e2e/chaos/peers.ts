/** Which connections on loopback a process holds, as the kernel tells. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** From one local port to another. Neither alone names a connection: the kernel uses a port again for another address. */
export type Connection = `${number}>${number}`

/** Those over IPv4 that are held by one of these processes. */
export function connectionsOf(pids: Iterable<number>): ReadonlySet<Connection> {
  const sockets = new Set([...pids].flatMap(socketsOf))
  const held = new Set<Connection>()
  for (const row of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const fields = row.trim().split(/\s+/)
    if (sockets.has(fields[9] ?? '')) held.add(`${portOf(fields[1])}>${portOf(fields[2])}`)
  }
  return held
}

/** Of `0100007F:1F90`. */
function portOf(address = ''): number {
  return Number.parseInt(address.slice(address.indexOf(':') + 1), 16)
}

/** Their inodes; none for a process that is gone. */
function socketsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`
  try {
    return readdirSync(directory).flatMap((name) => socketOf(`${directory}/${name}`) ?? [])
  } catch {
    return []
  }
}

function socketOf(path: string): string | null {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1] ?? null
  } catch {
    return null
  }
}
