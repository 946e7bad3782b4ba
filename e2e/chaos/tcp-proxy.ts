/**
 * A wire that can be disturbed: sits between the cluster and its Redis and forwards bytes, until it is told to stall
 * them, delay them, swallow replies, accept without answering, or cut.
 *
 * Disturbing a reply means that the request *was* carried out: the case in which a client that sends again by itself
 * does everything twice.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** Pieces of replies that came through. */
  answers: number
}

/** A client's first words with Redis: if their replies were swallowed, nobody would come to ask for anything. */
const HANDSHAKE_ANSWERS = 3

/** Whether whoever connected from that port is on the other side of a partition. */
export type IsApart = (clientPort: number) => boolean

type Way = 'to_server' | 'to_client'

export class TcpProxy {
  /** Replies that the server sent and no client got. */
  droppedReplies = 0
  readonly #port: () => number
  readonly #pairs = new Set<Pair>()
  /** Accepted and left alone. */
  readonly #orphans = new Set<Socket>()
  readonly #listener: Server
  #delayMs = 0
  #isStalled = false
  #isApart: IsApart = () => false
  #acceptsOnly = false
  /** Replies still to be swallowed. */
  #toDrop = 0

  private constructor(port: () => number) {
    this.#port = port
    this.#listener = createServer((client) => this.#accept(client))
  }

  /** To the port that `port` names at the moment of each connection, on loopback. */
  static async start(port: () => number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port)
    proxy.#listener.listen(0, '127.0.0.1')
    await once(proxy.#listener, 'listening')
    return proxy
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port
  }

  /** Of those who are connected. */
  get clientPorts(): number[] {
    return [...this.#pairs].flatMap(({ client }) => client.remotePort ?? [])
  }

  /** Nothing comes through in either direction until {@link heal}; nothing is lost either. */
  stall(): void {
    this.#isStalled = true
    for (const pair of this.#pairs) stop(pair)
  }

  /** As {@link stall}, for some alone: what they send now may still arrive after {@link heal}, as in a real network. */
  partition(isApart: IsApart): void {
    this.#isApart = isApart
    for (const pair of this.#pairs) if (isApart(pair.client.remotePort ?? 0)) stop(pair)
  }

  /** Everything takes so much longer, each way. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** So many more of the next replies are swallowed, and their connections cut. */
  dropReplies(count: number): void {
    this.#toDrop += count
  }

  /** New connections are accepted and never answered; those there are cut. */
  halfOpen(): void {
    this.#acceptsOnly = true
    this.cut()
  }

  cut(): void {
    for (const pair of this.#pairs) destroy(pair)
  }

  /** Replies still to be swallowed stay so: that many were asked for. */
  heal(): void {
    this.#delayMs = 0
    this.#acceptsOnly = false
    for (const orphan of this.#orphans) orphan.destroy()
    this.#isApart = () => false
    this.#isStalled = false
    for (const { client, server } of this.#pairs) {
      client.resume()
      server.resume()
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#listener, 'close')
    this.#listener.close()
    this.heal()
    this.cut()
    await closed
  }

  #accept(client: Socket): void {
    client.setNoDelay(true)
    if (this.#acceptsOnly) {
      this.#orphans.add(client)
      client.on('close', () => this.#orphans.delete(client))
      client.on('error', () => client.destroy())
      return
    }
    const server = connect(this.#port(), '127.0.0.1')
    server.setNoDelay(true)
    const pair = { client, server, answers: 0 }
    this.#pairs.add(pair)
    this.#forward(pair, client, server, 'to_server')
    this.#forward(pair, server, client, 'to_client')
    if (this.#isStalled || this.#isApart(client.remotePort ?? 0)) stop(pair)
  }

  #forward(pair: Pair, from: Socket, to: Socket, way: Way): void {
    const gone = (): void => {
      this.#pairs.delete(pair)
      destroy(pair)
    }
    from.on('error', gone)
    from.on('close', gone)
    from.on('data', (bytes) => {
      if (way === 'to_client') pair.answers += 1
      if (way === 'to_client' && this.#toDrop > 0 && pair.answers > HANDSHAKE_ANSWERS) {
        this.#toDrop -= 1
        this.droppedReplies += 1
        gone()
        return
      }
      if (this.#delayMs === 0) to.write(bytes)
      else setTimeout(() => to.writable && to.write(bytes), this.#delayMs)
    })
  }
}

function stop({ client, server }: Pair): void {
  client.pause()
  server.pause()
}

function destroy({ client, server }: Pair): void {
  client.destroy()
  server.destroy()
}
