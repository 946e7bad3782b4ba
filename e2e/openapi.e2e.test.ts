/** The OpenAPI document as it is served, and whether real answers are as it says. */
import Schema from 'typebox/schema'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freshKey, jsonOf, type Reply, request } from './client.ts'
import { Cluster, saleText } from './cluster.ts'

interface Media {
  readonly schema?: { readonly $ref: string }
}
interface Document {
  readonly openapi: string
  readonly paths: Record<
    string,
    Record<string, { readonly responses: Record<string, { readonly content?: Record<string, Media> }> }>
  >
  readonly components: { readonly schemas: Record<string, object> }
}

let cluster: Cluster
let document: Document
let token = ''

beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 1, sale: saleText({ seat: 3 }) })
  token = await cluster.token('ann')
  const served = await request(`${cluster.view.url}/api/openapi.json`)
  expect(served.status, served.text).toBe(200)
  document = jsonOf(served) as unknown as Document
})
afterAll(() => cluster.end())

/** What is wrong with an answer, in words. */
function faultOf(template: string, method: string, reply: Reply): string | null {
  const operation = document.paths[template]?.[method.toLowerCase()]
  if (operation === undefined) return `${method} ${template} is not documented`
  const response = operation.responses[reply.status]
  if (response === undefined) return `${method} ${template} answers ${reply.status}, which is not documented`
  const type = String(reply.headers['content-type']).split(';')[0] ?? ''
  const { content } = response
  if (content === undefined || Object.keys(content).length === 0) return null
  const reference = content[type]?.schema?.$ref
  if (reference === undefined) return `${method} ${template} answers ${type}, not ${Object.keys(content).join()}`
  const schema = document.components.schemas[reference.slice(reference.lastIndexOf('/') + 1)]
  if (schema === undefined) return `${reference} leads nowhere`
  return Schema.Check(schema, JSON.parse(reply.text)) ? null : `${reference} is not: ${reply.text}`
}

type Call = readonly [
  method: string,
  template: string,
  path: string,
  more?: { key?: string; body?: string; anonymous?: true },
]

async function send([method, , path, more = {}]: Call): Promise<Reply> {
  const { key, body, anonymous } = more
  const headers: Record<string, string> = {
    ...(anonymous === true ? {} : { Authorization: `Bearer ${token}` }),
    ...(key === undefined ? {} : { 'Idempotency-Key': key }),
  }
  return request(`${cluster.view.url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
}

const BUY = '/api/sales/{sale}/fares/{fare}/orders'
const SEAT = '/api/sales/rush/fares/seat/orders'

it('is true of what is really answered', async () => {
  expect(document.openapi).toBe('3.1.0')
  const key = freshKey()
  const made = await send(['POST', BUY, SEAT, { key }])
  expect(made.status).toBe(201)
  const id = String(jsonOf(made)['id'])
  const calls: readonly Call[] = [
    ['GET', '/api/sales', '/api/sales'],
    ['GET', '/api/sales', '/api/sales?limit=0'],
    ['GET', '/api/sales/{sale}', '/api/sales/rush'],
    ['GET', '/api/sales/{sale}', '/api/sales/none'],
    ['POST', BUY, SEAT, { key }],
    ['POST', BUY, SEAT, { key, body: '{"quantity":2}' }],
    ['POST', BUY, SEAT, { key: 'short' }],
    ['POST', BUY, SEAT, { body: 'no' }],
    ['POST', BUY, SEAT, { body: '{"quantity":99}' }],
    ['POST', BUY, SEAT, { body: 'x'.repeat(5000) }],
    ['POST', BUY, SEAT, { anonymous: true }],
    ['POST', BUY, '/api/sales/none/fares/seat/orders'],
    ['POST', BUY, '/api/sales/rush/fares/none/orders'],
    ['POST', BUY, SEAT],
    ['POST', BUY, SEAT],
    ['GET', '/api/orders', '/api/orders'],
    ['GET', '/api/orders', '/api/orders', { anonymous: true }],
    ['GET', '/api/orders', '/api/orders?cursor=%00&limit=x'],
    ['GET', '/api/orders/{order}', `/api/orders/${id}`],
    ['GET', '/api/orders/{order}', '/api/orders/unknown'],
    ['GET', '/api/orders/{order}/tickets', `/api/orders/${id}/tickets`],
    ['POST', '/api/orders/{order}/payment', `/api/orders/${id}/payment`],
    ['DELETE', '/api/orders/{order}', `/api/orders/${id}`],
    ['GET', '/api/keys', '/api/keys'],
    ['GET', '/api/openapi.json', '/api/openapi.json'],
    ['GET', '/api/live', '/api/live?sale=rush'],
  ]
  const faults: string[] = []
  for (const call of calls) {
    const reply = await send(call)
    // A call that is documented for a part of the service that does not run yet.
    if (jsonOf(reply)['code'] === 'not_found') continue
    const fault = faultOf(call[1], call[0], reply)
    if (fault !== null) faults.push(fault)
  }
  expect(faults).toEqual([])
  expect(faultOf(BUY, 'POST', { ...made, text: made.text.replace('"held"', '"lost"') })).toContain('is not')
})
