/**
 * The one file that loads uWebSockets.js: a native module that exists only for some machines, so a failed load is
 * explained here, with the ways out.
 *
 * Before it is loaded, the bound on request headers is set: uWebSockets.js reads it from the environment, once.
 * A request with more than 98 headers stalls in its parser (it waits for more, for 10 to 12 seconds, then closes
 * without a word) unless the headers that it waits for exceed this bound, which is answered 431 at once. uWebSockets'
 * own bound is 4096 bytes; with 2048, 200 headers of 10 bytes get their 431 and do not stall. What remains: 99 and
 * more headers that are together shorter than that still stall and cost one idle connection for those seconds,
 * as does a request without any header.
 * The bound counts only for headers that do not arrive in one piece. It cannot be lower: the headers of an ordinary
 * request with a long token come in two pieces over a real network. nginx forwards only the headers that we need.
 */
import { createRequire } from 'node:module'
import type * as Uws from 'uWebSockets.js'

export type { HttpRequest, HttpResponse, TemplatedApp, WebSocket, WebSocketBehavior } from 'uWebSockets.js'

export const HEADER_BYTES_BOUND = 2048

/** Says what an operator can do about a module that did not load. */
export function explainFailedLoad(
  error: unknown,
  machine: { readonly node: string; readonly abi: string; readonly glibc: string | null; readonly platform: string },
): string {
  const found = error instanceof Error ? error.message : String(error)
  return [
    'uWebSockets.js could not be loaded.',
    `This is Node ${machine.node} (ABI ${machine.abi}) on ${machine.platform}, ${machine.glibc === null ? 'no glibc (musl?)' : `glibc ${machine.glibc}`}.`,
    'The pinned build runs on Node 20 (ABI 115) with glibc 2.27 or newer; its builds for Node 22 and later want glibc 2.38.',
    'Ways out: use Node 20; use a Debian-like system instead of Alpine; run `npm ci` again if node_modules is incomplete;',
    'or point the dependency at an upstream tag built for your machine: "uWebSockets.js": "github:uNetworking/uWebSockets.js#<tag>".',
    `The loader said: ${found.trim()}`,
  ].join('\n')
}

function thisMachine() {
  const report = process.report?.getReport() as
    { readonly header?: { readonly glibcVersionRuntime?: string } } | undefined
  return {
    node: process.versions.node,
    abi: process.versions.modules,
    glibc: report?.header?.glibcVersionRuntime ?? null,
    platform: `${process.platform}-${process.arch}`,
  }
}

function load(): typeof Uws {
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] ??= String(HEADER_BYTES_BOUND)
  try {
    return createRequire(import.meta.url)('uWebSockets.js') as typeof Uws
  } catch (error) {
    throw new Error(explainFailedLoad(error, thisMachine()), { cause: error })
  }
}

const uws = load()
export default uws
