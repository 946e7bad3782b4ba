/**
 * Renders the nginx configuration from the topology. Pure: the same topology gives the same text.
 *
 * What the text has to keep, and why:
 * - A POST that was sent to a node is never sent to another one (`non_idempotent` is never used). Only a refused or
 *   timed-out *connection* goes on to the next node.
 * - uWebSockets.js closes idle connections after 10 s, so nginx lets go of them after 8.
 * - Nodes stall on more than 100 headers, so only those headers that nodes read are passed on, each by name.
 * - nginx's own errors look like everybody's errors (`problems.ts`).
 * - A reload costs no request: while a plan's closing flag exists, every answer tells its client to close
 *   (`closing.ts`).
 * - Its own directory holds everything it writes, so that any user can run it beside the system's nginx.
 */
import { compareVersions, VERSION_ZERO } from '../stock/core/words.ts'
import type { Version } from '../stock/core/words.ts'
import { EDGE_RULES, INTERNAL_PREFIX, RETRY_BASE_MS, RETRY_BUCKETS_MS, TROUBLE } from './problems.ts'
import type { EdgeProblem } from './problems.ts'

export interface UpstreamNode {
  readonly id: string
  readonly host: string
  readonly port: number
  /** A whole number, at least 1. */
  readonly weight: number
}

/** An orders process; they all take the same share. */
export interface UpstreamOrders {
  readonly id: string
  readonly host: string
  readonly port: number
}

export interface EdgeLimits {
  readonly workers: number
  readonly connectionsPerWorker: number
  /** Most live connections at a time, all workers together; one more is answered `busy`. */
  readonly liveConnections: number
  /** Idle connections to nodes that each worker keeps. */
  readonly keepalive: number
  readonly bodyBytesMax: number
  /** A payment provider's events are longer than anything a buyer sends. */
  readonly webhookBodyBytesMax: number
  readonly connectTimeoutMs: number
  /** Must be above the nodes' `buyDeadlineMs`, so that the node's own answer comes first. */
  readonly readTimeoutMs: number
  /** After this long without an answer from an orders process, a node is asked for an order. */
  readonly orderReadTimeoutMs: number
}

export const EDGE_DEFAULTS: EdgeLimits = {
  workers: 1,
  connectionsPerWorker: 8192,
  liveConnections: 3072,
  keepalive: 512,
  bodyBytesMax: 16_384,
  webhookBodyBytesMax: 65_536,
  connectTimeoutMs: 500,
  readTimeoutMs: 5000,
  orderReadTimeoutMs: 2500,
}

export type PlanVersion = Version
/** Before the fleet has a version of its own. */
export const FIRST_PLAN: PlanVersion = VERSION_ZERO
/** Negative, zero or positive, like a sort comparator. */
export const comparePlans = compareVersions

export interface Topology {
  /** Of the fleet's record; only grows. An older plan is never applied over a newer one. Shown by the status location. */
  readonly version: PlanVersion
  /** Absolute. nginx writes nothing outside. */
  readonly dir: string
  /** The system user for workers when started by root; null when started by anybody else. */
  readonly user: string | null
  readonly listen: { readonly host: string; readonly port: number }
  /** Loopback port of the status location. */
  readonly statusPort: number
  /** Nodes that take traffic. None: every call is answered as busy. */
  readonly nodes: readonly UpstreamNode[]
  /** Orders processes. None: orders are read from the nodes, every other call of theirs is answered as busy. */
  readonly orders: readonly UpstreamOrders[]
  /** Absolute directory of static files, or null. */
  readonly webDir: string | null
  /** Whether `/api/live` is served. */
  readonly live: boolean
  readonly limits: EdgeLimits
}

/** Path of the rendered configuration in a topology's directory. */
export function configPath(dir: string): string {
  return `${dir}/nginx.conf`
}

/** While this file exists, workers that run on this plan end each connection with its next answer. */
export function closingFlagPath(dir: string, { era, seq }: PlanVersion): string {
  return `${dir}/${CLOSING_FLAG_PREFIX}${era}.${seq}`
}
export const CLOSING_FLAG_PREFIX = 'closing-'

/** A worker of an old plan is gone after this time. */
export const WORKER_SHUTDOWN_TIMEOUT_MS = 30_000

/** Directories that must exist before nginx starts, relative to the topology's directory. */
export const EDGE_DIRECTORIES: readonly string[] = ['temp']

/** Thrown for a topology that would not mean what it says. A programmer's or a plan's mistake, never a buyer's. */
export class TopologyError extends Error {
  override readonly name = 'TopologyError'
}

export function render(topology: Topology): string {
  check(topology)
  return [
    ...main(topology),
    'http {',
    ...indent([...basics(topology), ...maps(), ...upstreams(topology), ...statusServer(topology), ...server(topology)]),
    '}',
    '',
  ].join('\n')
}

function check({ version, dir, webDir, nodes, orders, listen, statusPort }: Topology): void {
  for (const part of [version.era, version.seq]) {
    if (!Number.isSafeInteger(part) || part < 0) refuse(`version ${part} is not a whole number`)
  }
  for (const path of [dir, webDir]) {
    if (path !== null && !/^\/[^"$\\\n;{}]*$/.test(path))
      refuse(`path ${JSON.stringify(path)} cannot be written into nginx.conf`)
  }
  for (const port of [listen.port, statusPort]) {
    if (!isPort(port)) refuse(`port ${port} is not a port`)
  }
  for (const { id, host, port } of [...nodes, ...orders]) {
    if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(id)) refuse(`id ${JSON.stringify(id)} is not an id`)
    if (!/^[A-Za-z0-9.:[\]-]+$/.test(host)) refuse(`host ${JSON.stringify(host)} of ${id} is not a host`)
    if (!isPort(port)) refuse(`port ${port} of ${id} is not a port`)
  }
  for (const { id, weight } of nodes) {
    if (!Number.isSafeInteger(weight) || weight < 1)
      refuse(`weight ${weight} of node ${id} is not a whole number from 1`)
  }
}

function refuse(what: string): never {
  throw new TopologyError(what)
}

function isPort(port: number): boolean {
  return Number.isSafeInteger(port) && port > 0 && port < 65_536
}

function main({ dir, user, limits }: Topology): string[] {
  return [
    '# Rendered by Farebox. Changes made here are lost with the next plan.',
    ...(user === null ? [] : [`user ${user};`]),
    'daemon off;',
    `worker_processes ${limits.workers};`,
    `worker_rlimit_nofile ${limits.connectionsPerWorker * 2 + 1024};`,
    '# A worker of an old configuration lets requests end, but not for ever.',
    `worker_shutdown_timeout ${WORKER_SHUTDOWN_TIMEOUT_MS}ms;`,
    `pid "${dir}/nginx.pid";`,
    `error_log "${dir}/error.log" warn;`,
    `events { worker_connections ${limits.connectionsPerWorker}; }`,
  ]
}

function basics({ dir, limits }: Topology): string[] {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return [
    ...kinds.map((kind) => `${kind}_temp_path "${dir}/temp/${kind}";`),
    ...mimeTypes(),
    "log_format farebox '$msec $request_id $upstream_addr $status $upstream_status $request_time $upstream_response_time $bytes_sent $request_method $uri';",
    `access_log "${dir}/access.log" farebox buffer=64k flush=1s;`,
    'server_tokens off;',
    'sendfile on;',
    'tcp_nodelay on;',
    'reset_timedout_connection on;',
    'keepalive_timeout 75s;',
    'keepalive_requests 1000000000;',
    'keepalive_time 24h;',
    'client_header_timeout 5s;',
    'client_body_timeout 5s;',
    'send_timeout 10s;',
    'client_header_buffer_size 2k;',
    'large_client_header_buffers 8 8k;',
    `client_max_body_size ${limits.bodyBytesMax};`,
    `client_body_buffer_size ${limits.bodyBytesMax};`,
    'proxy_buffers 16 8k;',
    'proxy_max_temp_file_size 0;',
    'limit_conn_zone $server_port zone=farebox_live:64k;',
  ]
}

function mimeTypes(): string[] {
  return [
    'types {',
    '  text/html html;',
    '  text/css css;',
    '  text/javascript js mjs;',
    '  application/json json map webmanifest;',
    '  image/svg+xml svg;',
    '  image/png png;',
    '  image/x-icon ico;',
    '  font/woff2 woff2;',
    '}',
    'default_type application/octet-stream;',
    'charset utf-8;',
  ]
}

const BUY_PATH = '/api/sales/[^/]+/fares/[^/]+/orders'

const TROUBLE_FIELDS = ['code', 'title', 'detail'] as const

function maps(): string[] {
  const buy = `"~^POST ${BUY_PATH}$"`
  return [
    '# A request without an Idempotency-Key gets one, and the node is told that it was made here.',
    'map $http_idempotency_key $farebox_key { "" $request_id; default $http_idempotency_key; }',
    'map $http_idempotency_key $farebox_key_made { "" 1; default ""; }',
    `map "$request_method $uri" $farebox_buy { ${buy} 1; default ""; }`,
    'map $farebox_buy $farebox_key_returned { 1 $farebox_key; default ""; }',
    ...TROUBLE_FIELDS.map(
      (name) =>
        `map $farebox_buy $farebox_trouble_${name} { 1 "${TROUBLE.buy[name]}"; default "${TROUBLE.other[name]}"; }`,
    ),
    '# What nodes answer to, for the refusals that nginx makes by itself.',
    `map $uri $farebox_allow { "~^${BUY_PATH}$" POST; "~^/api/" GET; default "GET, HEAD"; }`,
    ...retryBuckets(),
  ]
}

function retryBuckets(): string[] {
  const [first, ...others] = RETRY_BUCKETS_MS
  const percent = Math.floor(10_000 / RETRY_BUCKETS_MS.length) / 100
  return [
    'split_clients $request_id $farebox_retry_ms {',
    ...others.map((ms) => `  ${percent}% ${ms};`),
    `  * ${first ?? RETRY_BASE_MS};`,
    '}',
    `map $farebox_retry_ms $farebox_retry_s { ${RETRY_BASE_MS} ${RETRY_BASE_MS / 1000}; default ${RETRY_BASE_MS / 1000 + 1}; }`,
  ]
}

function upstreams(topology: Topology): string[] {
  const { nodes, orders, limits } = topology
  const toNodes = nodes.map(
    ({ id, host, port, weight }) => `server ${host}:${port} weight=${weight} max_fails=2 fail_timeout=2s; # ${id}`,
  )
  const toOrders = orders.map(({ id, host, port }) => `server ${host}:${port} max_fails=2 fail_timeout=2s; # ${id}`)
  const instead = nodes.map(({ id, host, port }) => `server ${host}:${port} backup; # ${id}`)
  return [
    ...(nodes.length === 0 ? [] : upstream('farebox_nodes', '256k', toNodes, limits.keepalive)),
    ...(orders.length === 0
      ? []
      : [
          ...upstream('farebox_orders', '64k', toOrders, ORDERS_KEEPALIVE),
          '# An order can be read at every node too, which is where reads go while no orders process answers.',
          ...upstream('farebox_order_reads', '256k', [...toOrders, ...instead], ORDERS_KEEPALIVE),
          'map $request_method $farebox_order_upstream { ~^(GET|HEAD|OPTIONS)$ farebox_order_reads; default farebox_orders; }',
        ]),
  ]
}

/** Idle connections to orders processes that each worker keeps: the everyday path, not the rush. */
const ORDERS_KEEPALIVE = 64

function upstream(name: string, zone: string, servers: readonly string[], keepalive: number): string[] {
  return [
    `upstream ${name} {`,
    ...indent([
      `zone ${name} ${zone};`,
      ...servers,
      `keepalive ${keepalive};`,
      'keepalive_timeout 8s;',
      'keepalive_requests 1000000000;',
      'keepalive_time 24h;',
    ]),
    '}',
  ]
}

function statusServer({ statusPort, version }: Topology): string[] {
  return [
    'server {',
    `  listen 127.0.0.1:${statusPort};`,
    '  access_log off;',
    '  keepalive_timeout 0;',
    `  location = /version { default_type application/json; return 200 '{"era":${version.era},"seq":${version.seq},"workerPid":$pid}'; }`,
    '  location = /connections { stub_status; }',
    '  location / { return 404; }',
    '}',
  ]
}

function server(topology: Topology): string[] {
  const { listen, webDir, live, nodes } = topology
  const toNodes = (lines: readonly string[] = []) =>
    nodes.length === 0 ? ['return 503;'] : [...lines, 'proxy_pass http://farebox_nodes$request_uri;']
  return [
    'server {',
    ...indent([
      `listen ${listen.host}:${listen.port} backlog=4096;`,
      'absolute_redirect off;',
      'add_header X-Request-Id $request_id always;',
      ...EDGE_RULES.map(({ caught, problem }) => `error_page ${caught.join(' ')} = ${problem.location};`),
      ...proxying(topology),
      ...closing(topology),
      ...location('= /api/sales', toNodes()),
      ...location('/api/sales/', [...toNodes(), ...location(`~ ^${BUY_PATH}$`, toNodes([...passed(BUY_HEADERS)]))]),
      ...(live ? location('= /api/live', toNodes(liveLines(topology))) : []),
      ...location('~ ^/api/orders(/[^/]+)?$', orderLines(topology)),
      ...location('/api/payments/webhook/', toOrders(topology, webhookLines(topology))),
      ...location('/api/', toOrders(topology, passed(ORDERS_HEADERS))),
      ...location('= /api', ['return 404;']),
      ...['/healthz', '/readyz', '/metrics'].flatMap((path) => location(`= ${path}`, ['return 404;'])),
      ...location('/', webDir === null ? ['return 404;'] : pageLines(webDir)),
      ...EDGE_RULES.flatMap(({ problem }) => problemLocation(problem)),
    ]),
    '}',
  ]
}

/**
 * nginx decides whether a connection stays when it looks for the request's location, and what one location decided
 * against stays decided. So under the flag a request takes a turn through a location without keep-alive and then
 * goes where it always goes. The turn makes the URI an internal one, for which `proxy_pass` without `$request_uri`
 * would send another spelling, and internal locations would open: requests for those take no turn.
 */
function closing({ dir, version }: Topology): string[] {
  return [
    '# Before a reload every answer says `Connection: close`, since the worker would close without a word.',
    `if (-f "${closingFlagPath(dir, version)}") {`,
    '  set $farebox_uri $uri;',
    `  rewrite ^(?!${INTERNAL_PREFIX}) ${INTERNAL_PREFIX}closing last;`,
    '}',
    ...location(`= ${INTERNAL_PREFIX}closing`, [
      'internal;',
      'keepalive_timeout 0;',
      '# The real location refuses, with the real URI to say so.',
      'client_max_body_size 0;',
      'rewrite ^ $farebox_uri last;',
    ]),
  ]
}

/** An order, or a buyer's orders: read from an orders process, or else from a node. */
function orderLines({ nodes, orders, limits }: Topology): string[] {
  const timeout = `proxy_read_timeout ${limits.orderReadTimeoutMs}ms;`
  if (orders.length > 0) return [timeout, 'proxy_pass http://$farebox_order_upstream$request_uri;']
  if (nodes.length === 0) return ['return 503;']
  return [
    'if ($request_method !~ ^(GET|HEAD|OPTIONS)$) { return 503; }',
    'proxy_pass http://farebox_nodes$request_uri;',
  ]
}

function toOrders({ orders }: Topology, lines: readonly string[] = []): string[] {
  return orders.length === 0 ? ['return 503;'] : [...lines, 'proxy_pass http://farebox_orders$request_uri;']
}

/** A signature is over the body as it was sent, in a header whose name is the provider's: all headers pass. */
function webhookLines({ limits }: Topology): string[] {
  return [
    `client_max_body_size ${limits.webhookBodyBytesMax};`,
    `client_body_buffer_size ${limits.webhookBodyBytesMax};`,
    'proxy_pass_request_headers on;',
  ]
}

type Headers = readonly (readonly [name: string, value: string])[]

/** Every header that a node reads. Whatever else a client sends stays here. */
const CALL_HEADERS: Headers = [
  ['Host', '$http_host'],
  ['Connection', '""'],
  ['Authorization', '$http_authorization'],
  ['Content-Type', '$http_content_type'],
  ['Origin', '$http_origin'],
  ['Access-Control-Request-Method', '$http_access_control_request_method'],
  ['Access-Control-Request-Headers', '$http_access_control_request_headers'],
  ['X-Request-Id', '$request_id'],
]
const BUY_HEADERS: Headers = [
  ...CALL_HEADERS,
  ['Idempotency-Key', '$farebox_key'],
  ['X-Farebox-Key-Made', '$farebox_key_made'],
]
/** For absolute links: what a proxy before us says of how the client reached it. */
const ORDERS_HEADERS: Headers = [
  ...CALL_HEADERS,
  ['X-Forwarded-Proto', '$http_x_forwarded_proto'],
  ['X-Forwarded-Host', '$http_x_forwarded_host'],
]
const LIVE_HEADERS: Headers = [
  ...CALL_HEADERS.filter(([name]) => name !== 'Connection'),
  ['Connection', '"upgrade"'],
  ['Upgrade', '$http_upgrade'],
  ['Sec-WebSocket-Key', '$http_sec_websocket_key'],
  ['Sec-WebSocket-Version', '$http_sec_websocket_version'],
  ['Sec-WebSocket-Protocol', '$http_sec_websocket_protocol'],
  ['Sec-WebSocket-Extensions', '$http_sec_websocket_extensions'],
]
/** By which plan a live connection came: its worker cuts it some time after a newer plan is served. */
const PLAN_HEADER = 'X-Farebox-Plan'

function passed(headers: Headers): string[] {
  return headers.map(([name, value]) => `proxy_set_header ${name} ${value};`)
}

function proxying({ limits }: Topology): string[] {
  return [
    'proxy_http_version 1.1;',
    'proxy_pass_request_headers off;',
    ...passed(CALL_HEADERS),
    'proxy_hide_header X-Request-Id;',
    'proxy_hide_header uWebSockets;',
    `proxy_connect_timeout ${limits.connectTimeoutMs}ms;`,
    `proxy_read_timeout ${limits.readTimeoutMs}ms;`,
    `proxy_send_timeout ${limits.readTimeoutMs}ms;`,
    'proxy_next_upstream error timeout;',
    'proxy_next_upstream_tries 4;',
    `proxy_next_upstream_timeout ${limits.readTimeoutMs}ms;`,
  ]
}

/** The page takes everything from its own place, and says so: a script that got into it could not call home. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

function pageLines(webDir: string): string[] {
  return [
    `root "${webDir}";`,
    'index index.html;',
    'add_header X-Request-Id $request_id always;',
    `add_header Content-Security-Policy "${PAGE_POLICY}" always;`,
    'add_header X-Content-Type-Options nosniff always;',
    'add_header Referrer-Policy no-referrer always;',
    '# Asked anew each time, answered 304 as long as nothing changed.',
    'add_header Cache-Control no-cache always;',
  ]
}

/** Nodes ask a silent client for a sign of life well before these timeouts. */
function liveLines({ version, limits }: Topology): string[] {
  return [
    '# Each takes two connections of its worker: calls must not find none left.',
    `limit_conn farebox_live ${limits.liveConnections};`,
    ...passed([...LIVE_HEADERS, [PLAN_HEADER, `"${version.era}.${version.seq}"`]]),
    'proxy_read_timeout 75s;',
    'proxy_send_timeout 75s;',
    'proxy_buffering off;',
  ]
}

function problemLocation(problem: EdgeProblem): string[] {
  const { status, code, title, detail, retry, returnsKey } = problem
  const retryAfterMs = retry ? '$farebox_retry_ms' : 'null'
  const body = `{"type":"urn:farebox:problem:${code}","title":"${title}","status":${status},"code":"${code}","detail":"${detail}","requestId":"$request_id","retryAfterMs":${retryAfterMs}}`
  const named = problem.location.startsWith('@')
  return location(named ? problem.location : `= ${problem.location}`, [
    ...(named ? [] : ['internal;']),
    'default_type application/problem+json;',
    'charset off;',
    'add_header X-Request-Id $request_id always;',
    'add_header Cache-Control no-store always;',
    ...(retry ? ['add_header Retry-After $farebox_retry_s always;'] : []),
    ...(status === 405 ? ['add_header Allow $farebox_allow always;'] : []),
    ...(returnsKey ? ['add_header Idempotency-Key $farebox_key_returned always;'] : []),
    `return ${status} '${body}';`,
  ])
}

function location(match: string, lines: readonly string[]): string[] {
  return [`location ${match} {`, ...indent(lines), '}']
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}
