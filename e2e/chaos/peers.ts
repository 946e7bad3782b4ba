/** Which process is at the other end of a loopback connection, as the kernel tells. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Those of these local ports whose connections, over IPv4, are held by one of these processes. */
export function portsHeldBy(pids: Iterable<number>, ports: readonly number[]): Set<number> {
  const table = readFileSync('/proc/net/tcp', 'utf8')
  const sockets = new Set([...pids].flatMap(socketsOf))
  return new Set(ports.filter((port) => sockets.has(inodeOf(table, port))))
}

/** Empty when there is none. */
function inodeOf(table: string, port: number): string {
  const from = table.indexOf(`: 0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} `)
  if (from === -1) return ''
  const fields = table.slice(from, table.indexOf('\n', from)).split(/\s+/)
  return fields[9] ?? ''
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
