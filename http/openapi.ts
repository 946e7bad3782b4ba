/**
 * What the whole service answers under `/api`, as one OpenAPI 3.1 document, whichever process answers: built from the
 * same schemas that the tests hold real answers against. A call that no process has yet answers 404 as any unknown path.
 */
import { Type, type TSchema } from 'typebox'
import { AuthMessage, AuthRequest, AvailabilityMessage, OrderMessage } from './live-messages.ts'
import { type ProblemCode, PROBLEMS } from './problems.ts'
import { OrderListSchema, OrderSchema, ProblemSchema, SaleListSchema, SaleSchema } from './schemas.ts'

const closed = { additionalProperties: false }

export const PaymentSchema = Type.Object({ redirectUrl: Type.String() }, closed)
export const TicketListSchema = Type.Object(
  { items: Type.Array(Type.Object({ code: Type.String(), qrSvg: Type.String() }, closed)) },
  closed,
)
/** Further members are the concern of whoever signs. */
export const KeysSchema = Type.Object({
  keys: Type.Array(Type.Object({ kty: Type.String(), crv: Type.String(), kid: Type.String(), x: Type.String() })),
})
export const SessionSchema = Type.Object({ token: Type.String(), buyer: Type.String() })
/** Empty means one ticket. Members that we do not know are ignored. */
export const BuyRequestSchema = Type.Object({ quantity: Type.Optional(Type.Integer({ minimum: 1 })) })

const SCHEMAS = {
  Sale: SaleSchema,
  SaleList: SaleListSchema,
  Order: OrderSchema,
  OrderList: OrderListSchema,
  Problem: ProblemSchema,
  Payment: PaymentSchema,
  TicketList: TicketListSchema,
  Keys: KeysSchema,
  Session: SessionSchema,
  BuyRequest: BuyRequestSchema,
  LiveAvailability: AvailabilityMessage,
  LiveAuth: AuthMessage,
  LiveOrder: OrderMessage,
  LiveAuthRequest: AuthRequest,
} as const satisfies Readonly<Record<string, TSchema>>

export type SchemaName = keyof typeof SCHEMAS

/** What is answered when all is well, by status; null has no body, `any` one that is not ours to describe. */
type Answers = Readonly<Record<number, { readonly says: string; readonly schema: SchemaName | null | 'any' }>>

interface Operation {
  readonly method: 'get' | 'post' | 'delete'
  readonly path: string
  readonly id: string
  readonly summary: string
  readonly needsToken?: true
  readonly query?: readonly Parameter[]
  readonly headers?: readonly Parameter[]
  readonly body?: SchemaName
  readonly answers: Answers
  /** Besides those that every call may answer. */
  readonly problems: readonly ProblemCode[]
}

interface Parameter {
  readonly name: string
  readonly says: string
  readonly schema: TSchema
  readonly required?: true
}

const PAGE: readonly Parameter[] = [
  { name: 'limit', says: 'Most items; 50 when absent.', schema: Type.Integer({ minimum: 1, maximum: 100 }) },
  { name: 'cursor', says: 'A nextCursor as it was given.', schema: Type.String() },
]
const KEY: Parameter = {
  name: 'Idempotency-Key',
  says: 'The same key is the same order, however often it is sent; made by the server when absent.',
  schema: Type.String({ pattern: '^[A-Za-z0-9_-]{8,64}$' }),
}

export const OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/api/sales',
    id: 'listSales',
    summary: 'All sales, newest first; drafts are not shown.',
    query: PAGE,
    answers: { 200: { says: 'A page of sales.', schema: 'SaleList' } },
    problems: ['malformed'],
  },
  {
    method: 'get',
    path: '/api/sales/{sale}',
    id: 'showSale',
    summary: 'One sale; what remains may lag by a second.',
    answers: { 200: { says: 'The sale.', schema: 'Sale' } },
    problems: ['no_such_sale'],
  },
  {
    method: 'post',
    path: '/api/sales/{sale}/fares/{fare}/orders',
    id: 'buy',
    summary: 'Buys tickets, all or nothing. Repeat with the same key on 429, on any 5xx and when no answer comes.',
    needsToken: true,
    headers: [KEY],
    body: 'BuyRequest',
    answers: {
      201: { says: 'The new order.', schema: 'Order' },
      200: {
        says: 'The order as it is now, which this key made before (Idempotency-Replayed: true).',
        schema: 'Order',
      },
    },
    problems: [
      'malformed',
      'bad_key',
      'unauthenticated',
      'blocked',
      'no_such_sale',
      'no_such_fare',
      'too_large',
      'key_reused',
      'bad_quantity',
      'not_open',
      'paused',
      'closed',
      'limit_reached',
      'not_enough',
      'all_held',
      'sold_out',
      'not_picked',
      'recovering',
      'outcome_unknown',
    ],
  },
  {
    method: 'get',
    path: '/api/orders',
    id: 'listOrders',
    summary: "The buyer's own orders, newest first.",
    needsToken: true,
    query: PAGE,
    answers: { 200: { says: 'A page of orders.', schema: 'OrderList' } },
    problems: ['malformed', 'unauthenticated'],
  },
  {
    method: 'get',
    path: '/api/orders/{order}',
    id: 'showOrder',
    summary: "One order. Another buyer's is answered as an unknown one.",
    needsToken: true,
    answers: { 200: { says: 'The order.', schema: 'Order' } },
    problems: ['unauthenticated', 'no_such_order'],
  },
  {
    method: 'delete',
    path: '/api/orders/{order}',
    id: 'cancelOrder',
    summary: 'Cancels a held order; its tickets return to the sale.',
    needsToken: true,
    answers: { 200: { says: 'The order, released; also on repeat.', schema: 'Order' } },
    problems: ['unauthenticated', 'no_such_order', 'already_paid', 'not_held', 'recovering'],
  },
  {
    method: 'post',
    path: '/api/orders/{order}/payment',
    id: 'payOrder',
    summary: 'Begins the payment of a held order; the same answer on repeat.',
    needsToken: true,
    answers: { 200: { says: 'Where to pay.', schema: 'Payment' } },
    problems: ['unauthenticated', 'no_such_order', 'not_held', 'recovering'],
  },
  {
    method: 'get',
    path: '/api/orders/{order}/tickets',
    id: 'listTickets',
    summary: 'The signed tickets of a paid order, one per seat.',
    needsToken: true,
    answers: { 200: { says: 'The tickets.', schema: 'TicketList' } },
    problems: ['unauthenticated', 'no_such_order', 'not_paid', 'recovering'],
  },
  {
    method: 'post',
    path: '/api/payments/webhook/{provider}',
    id: 'hearProvider',
    summary: "A payment provider's signed events.",
    answers: { 200: { says: 'Taken in, also when it was before.', schema: 'any' } },
    problems: [
      'malformed',
      'bad_signature',
      'stale_timestamp',
      'not_found',
      'no_such_payment',
      'too_large',
      'wrong_amount',
    ],
  },
  {
    method: 'get',
    path: '/api/keys',
    id: 'listKeys',
    summary: 'The public keys by which tickets are verified offline.',
    answers: { 200: { says: 'The keys.', schema: 'Keys' } },
    problems: [],
  },
  {
    method: 'post',
    path: '/api/demo/session',
    id: 'demoSession',
    summary: 'A buyer and a token, where demo.signIn is on.',
    answers: { 200: { says: 'The session.', schema: 'Session' } },
    problems: ['not_found'],
  },
  {
    method: 'get',
    path: '/api/live',
    id: 'live',
    summary:
      'WebSocket. Sends LiveAvailability on open and on change; after a LiveAuthRequest LiveAuth and LiveOrder. At most ' +
      'four messages a second. Closes with 4400 bad message, 4401 bad token, 4404 no such sale, 1012 come back, 1013 too many.',
    query: [{ name: 'sale', says: "The sale's id.", schema: Type.String(), required: true }],
    answers: { 101: { says: 'From here on messages.', schema: null } },
    problems: ['malformed', 'blocked'],
  },
  {
    method: 'get',
    path: '/api/openapi.json',
    id: 'openapi',
    summary: 'This document.',
    answers: { 200: { says: 'An OpenAPI 3.1 document.', schema: 'any' } },
    problems: [],
  },
]

/** Pages of the payment sandbox and the like, which are not for programs. */
export const UNDOCUMENTED: readonly RegExp[] = [/^\/api\/payments\/sandbox\//]

const ANY_CALL: readonly ProblemCode[] = ['method_not_allowed', 'headers_too_large', 'rate_limited', 'internal', 'busy']

type Json = { readonly [name: string]: unknown }

export function openApiDocument(): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const operation of OPERATIONS) (paths[operation.path] ??= {})[operation.method] = operationJson(operation)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Farebox',
      version: '1',
      description: 'Times are RFC 3339 in UTC with milliseconds; money is in whole minor units. Changes only add.',
    },
    paths,
    components: {
      schemas: schemas(),
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }
}

/** As plain JSON, by name. */
export function schemas(): Record<SchemaName, Json> {
  return JSON.parse(JSON.stringify(SCHEMAS)) as Record<SchemaName, Json>
}

function operationJson(operation: Operation): Json {
  const { id, summary, needsToken, body, answers } = operation
  return {
    operationId: id,
    summary,
    ...(needsToken === true ? { security: [{ token: [] }] } : {}),
    parameters: parametersOf(operation),
    ...(body === undefined ? {} : { requestBody: { content: jsonOf(body) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, { says, schema }]) => [
          status,
          { description: says, ...(schema === null ? {} : { content: schema === 'any' ? {} : jsonOf(schema) }) },
        ]),
      ),
      ...problemResponses([...operation.problems, ...ANY_CALL]),
    },
  }
}

function parametersOf({ path, query = [], headers = [] }: Operation): Json[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const listed = (place: string, parameters: readonly Parameter[]): Json[] =>
    parameters.map(({ name, says, schema, required }) => ({
      name,
      in: place,
      description: says,
      ...(required === true ? { required } : {}),
      schema: JSON.parse(JSON.stringify(schema)) as Json,
    }))
  return [...inPath, ...listed('query', query), ...listed('header', headers)]
}

/** One response per status, which names its codes. */
function problemResponses(codes: readonly ProblemCode[]): Json {
  const byStatus = new Map<number, ProblemCode[]>()
  for (const code of codes) byStatus.set(PROBLEMS[code].status, [...(byStatus.get(PROBLEMS[code].status) ?? []), code])
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('; '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  )
}

function jsonOf(name: SchemaName): Json {
  return { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } }
}
