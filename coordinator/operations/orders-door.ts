/** How coordinator and CLI reach the ledger: through the private port of an orders process, the first that answers. */
import { LEASE_HEADER, type StreamedAnswer } from '../../http/admin-server.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import type { FleetStore } from '../../stock/port.ts'

export interface OrdersDoor {
  /** The body of an answer. Rejects with `OperationError`: as refused there, or `no_orders` when nobody answers. */
  call<T>(method: 'GET' | 'POST', path: string, body?: string): Promise<T>
  /** An answer that is too long for one piece. */
  stream(path: string): Promise<StreamedAnswer>
  /** The same for a leader: what it asks is refused there as soon as that lease is in force no more. */
  under(lease: number): OrdersDoor
}

const PROBE_MS = 800
const CALL_MS = 25_000

export function ordersDoor(
  fleet: Pick<FleetStore, 'read'>,
  token: string | null,
  lease: number | null = null,
): OrdersDoor {
  const headers = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(lease === null ? {} : { [LEASE_HEADER]: String(lease) }),
  }

  async function ask(method: string, path: string, body: string | undefined): Promise<Response> {
    const { orders } = await fleet.read()
    // The one heard of last is the likeliest to answer.
    for (const { adminUrl } of orders.toSorted((a, b) => b.lastSeenMs - a.lastSeenMs)) {
      if (!(await answers(adminUrl))) continue
      return send(new URL(path, adminUrl), method, body)
    }
    const known = orders.map(({ id, adminUrl }) => `${id} at ${adminUrl}`).join(', ') || 'none is known to the fleet'
    const message = `no orders process answers (${known}): the ledger cannot be asked. Start one with "farebox run orders"`
    throw new OperationError('no_orders', message)
  }

  async function send(url: URL, method: string, body: string | undefined): Promise<Response> {
    let response: Response
    try {
      response = await fetch(url, {
        method,
        headers,
        ...(url.pathname.endsWith('/export') ? {} : { signal: AbortSignal.timeout(CALL_MS) }),
        ...(body === undefined ? {} : { body }),
      })
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      // Perhaps it was done: what is half done is completed, and every act may be repeated.
      throw new OperationError('no_orders', `the orders process at ${url.origin} gave no answer: ${why}. Look again`)
    }
    if (!response.ok) throw await refusalOf(response)
    return response
  }

  return {
    async call<T>(method: 'GET' | 'POST', path: string, body?: string): Promise<T> {
      const response = await ask(method, path, body)
      return (await response.json()) as T
    },
    async stream(path) {
      const response = await ask('GET', path, undefined)
      const contentType = response.headers.get('content-type') ?? 'application/octet-stream'
      return { status: 200, contentType, text: textOf(response) }
    },
    under: (held) => ordersDoor(fleet, token, held),
  }
}

async function answers(adminUrl: string): Promise<boolean> {
  try {
    return (await fetch(new URL('/healthz', adminUrl), { signal: AbortSignal.timeout(PROBE_MS) })).ok
  } catch {
    return false
  }
}

async function refusalOf(response: Response): Promise<OperationError> {
  const body = (await response.json().catch(() => null)) as {
    readonly error?: { readonly code?: string; readonly message?: string; readonly details?: unknown }
  } | null
  const { code = 'internal', message, details = null } = body?.error ?? {}
  return new OperationError(code, message ?? `the orders process answered ${response.status}`, details)
}

async function* textOf(response: Response): AsyncIterable<string> {
  if (response.body === null) return
  const decoder = new TextDecoder()
  for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
    yield decoder.decode(piece, { stream: true })
  }
  yield decoder.decode()
}
