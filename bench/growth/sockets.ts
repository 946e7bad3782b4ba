/** Buyers with the page open: sockets of the live feed, opened and read, and nothing else. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { SALE } from '../ratios/requests.ts'

const OPEN_AT_ONCE = 100

/** Resolves when all are open; rejects when one is refused. Returns what closes them. */
export async function openSockets(url: string, count: number): Promise<() => void> {
  const sockets: Socket[] = []
  const close = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  try {
    for (let at = 0; at < count; at += OPEN_AT_ONCE) {
      const some = Array.from({ length: Math.min(OPEN_AT_ONCE, count - at) }, () => openOne(url))
      sockets.push(...(await Promise.all(some)))
    }
  } catch (error) {
    close()
    throw error
  }
  return close
}

function openOne(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const lines = [
    `GET /api/live?sale=${SALE} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
  ]
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(`${lines.join('\r\n')}\r\n\r\n`))
    socket.once('data', (chunk) => {
      const status = /^HTTP\/1\.1 (\d+)/.exec(chunk.toString('latin1'))?.[1]
      if (status === '101') resolve(socket.resume())
      else reject(new Error(`/api/live answered ${status}`))
    })
    socket.once('error', reject)
  })
}
