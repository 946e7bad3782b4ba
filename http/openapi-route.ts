/** `GET /api/openapi.json`. */
import { openApiDocument } from './openapi.ts'
import type { Route } from './route.ts'

const CACHED = ['Cache-Control', 'public, max-age=300']

export function openApiRoute(): Route {
  const text = JSON.stringify(openApiDocument())
  return {
    method: 'get',
    pattern: '/api/openapi.json',
    headers: [],
    body: 'none',
    handle: (exchange) => void exchange.send(200, CACHED, text),
  }
}
