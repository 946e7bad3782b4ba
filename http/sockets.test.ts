import { connect } from 'node:net'
import { Writable } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createLogger } from '../runtime/logger.ts'
import { systemRandom } from '../runtime/random.ts'
import { HttpServer, type ServerOptions } from './server.ts'
import type { Socket, SocketRoute } from './socket.ts'

const logger = createLogger({ level: 'error' }, new Writable({ write: (_chunk, _encoding, done) => done() }))
const servers: HttpServer[] = []
const clients: { terminate(): void }[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate()
  await Promise.all(servers.splice(0).map((server) => server.close(0)))
})

/** A route that writes down what happens to it. */
class Diary implements SocketRoute {
  readonly pattern = '/api/live'
  readonly query = ['sale']
  readonly headers = ['x-farebox-plan']
  readonly maxPayloadBytes = 100
  readonly maxSockets = 2
  readonly lines: string[] = []
  readonly sockets: Socket[] = []
  onMessage: (socket: Socket, text: string | null) => void = () => {}
  onDrained: () => void = () => {}

  opened(socket: Socket): void {
    this.sockets.push(socket)
    this.lines.push(`opened ${socket.query.join()} ${socket.headers.join()}`)
  }

  message(socket: Socket, text: string | null): void {
    this.lines.push(`message ${text}`)
    this.onMessage(socket, text)
  }

  drained(): void {
    this.onDrained()
  }

  closed(_socket: Socket, code: number): void {
    this.lines.push(`closed ${code}`)
  }
}

async function start(options: Partial<ServerOptions> = {}) {
  const diary = new Diary()
  const server = new HttpServer({ logger, random: systemRandom, maxBodyBytes: 64, ...options }, [], [diary])
  servers.push(server)
  const port = await server.listen('127.0.0.1', 0)
  return { server, diary, port, url: `ws://127.0.0.1:${port}/api/live?sale=demo` }
}

function dial(url: string, headers: Record<string, string> = {}): WebSocket {
  const client = new WebSocket(url, { headers })
  clients.push(client)
  return client
}

function opened(client: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    client.on('open', () => resolve())
    client.on('error', reject)
  })
}

function closeOf(client: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    client.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
}

function refusalOf(client: WebSocket): Promise<number> {
  return new Promise((resolve, reject) => {
    client.on('error', () => {})
    client.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
    client.on('open', () => reject(new Error('it opened')))
  })
}

async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 5000
  while (!isSo()) {
    if (performance.now() > end) throw new Error('waited 5 s')
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
}

describe('a WebSocket route', () => {
  it('hears query, headers, texts and the end', async () => {
    const { diary, url } = await start()
    const client = dial(url, { 'X-Farebox-Plan': '1.7' })
    await opened(client)
    client.send('hé')
    client.send(Buffer.from([1, 2]))
    await until(() => diary.lines.length === 3)
    client.close(1000)
    await until(() => diary.lines.length === 4)
    expect(diary.lines).toEqual(['opened demo 1.7', 'message hé', 'message null', 'closed 1000'])
  })

  it('closes with the code that the route says, and touches nothing afterwards', async () => {
    const { diary, url } = await start()
    diary.onMessage = (socket) => socket.close(4400, 'bad message')
    const client = dial(url)
    await opened(client)
    client.send('x')
    expect(await closeOf(client)).toEqual({ code: 4400, reason: 'bad message' })
    const [socket] = diary.sockets
    expect([socket?.isOpen, socket?.isBlocked, socket?.send('late')]).toEqual([false, false, false])
    socket?.subscribe('topic')
    socket?.close(1000, 'again')
    expect(diary.lines.filter((line) => line.startsWith('closed'))).toEqual(['closed 4400'])
  })

  it('whose handler throws loses that socket and nothing else', async () => {
    const { server, diary, url } = await start()
    diary.onMessage = (_socket, text) => {
      if (text === 'throw') throw new Error('a handler is wrong')
    }
    const [bad, good] = [dial(url), dial(url)]
    await Promise.all([opened(bad), opened(good)])
    bad.send('throw')
    expect((await closeOf(bad)).code).toBe(1011)
    good.send('fine')
    await until(() => diary.lines.includes('message fine'))
    expect(server.counters.internalErrors).toBe(1)
  })

  it('is full at its bound, and not for ever', async () => {
    const { diary, url } = await start()
    const [first, second, third] = [dial(url), dial(url), dial(url)]
    await Promise.all([opened(first), opened(second)])
    expect((await closeOf(third)).code).toBe(1013)
    first.close()
    await until(() => diary.lines.some((line) => line.startsWith('closed 1005')))
    const fourth = dial(url)
    await opened(fourth)
    fourth.send('in')
    await until(() => diary.lines.includes('message in'))
  })

  it('closes on a message longer than allowed', async () => {
    const { diary, url } = await start()
    const client = dial(url)
    client.on('error', () => {})
    await opened(client)
    client.send('x'.repeat(101))
    await closeOf(client)
    expect(diary.lines.filter((line) => line.startsWith('message'))).toEqual([])
  })

  it('answers requests that are no upgrade', async () => {
    const { url } = await start()
    const address = url.replace('ws:', 'http:')
    const plain = await fetch(address)
    expect([plain.status, ((await plain.json()) as { code: string }).code]).toEqual([400, 'malformed'])
    const posted = await fetch(address, { method: 'POST' })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET'])
  })

  it('lets in pages of its own origin and of those allowed, and no others', async () => {
    const { url, port, diary } = await start({ allowedOrigins: ['https://shop.example'] })
    for (const origin of [`http://127.0.0.1:${port}`, `https://127.0.0.1:${port}`, 'https://shop.example']) {
      const client = dial(url, { Origin: origin })
      await opened(client)
      client.terminate()
    }
    for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${port}.evil.example`]) {
      expect(await refusalOf(dial(url, { Origin: origin }))).toBe(403)
    }
    expect(diary.lines.filter((line) => line.startsWith('opened'))).toHaveLength(3)
  })

  it('keeps nothing for a client that does not read, and says when there is room again', async () => {
    const { server, diary, url, port } = await start()
    const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n'
    const slow = connect(port, '127.0.0.1')
    clients.push({ terminate: () => slow.destroy() })
    slow.write(`GET /api/live?sale=a HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n${key}\r\n`)
    await until(() => diary.sockets.length === 1)
    const quick = dial(url)
    let heard = 0
    quick.on('message', () => (heard += 1))
    await opened(quick)
    await until(() => diary.sockets.length === 2)
    for (const socket of diary.sockets) socket.subscribe('news')
    expect(server.subscribers('news')).toBe(2)
    const text = 'n'.repeat(64_000)
    let published = 0
    const publish = async (): Promise<void> => {
      server.publish('news', text)
      published += 1
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
    while (diary.sockets[0]?.isBlocked === false) await publish()
    const publishedUntilBlocked = published
    for (let time = 0; time < 500; time += 1) await publish()
    await until(() => heard === published)
    expect(diary.sockets[0]?.send('more')).toBe(false)
    let isDrained = false
    diary.onDrained = () => (isDrained = true)
    let bytes = 0
    let end = ''
    slow.on('data', (chunk) => {
      bytes += chunk.length
      end = chunk.subarray(-10).toString()
    })
    await until(() => isDrained)
    expect(diary.sockets[0]?.send('the newest')).toBe(true)
    await until(() => end === 'the newest')
    // What was on its way when it stopped reading, and the newest; nothing of what came between.
    expect(bytes).toBeLessThan((publishedUntilBlocked + 1) * (text.length + 16))
  })
})
