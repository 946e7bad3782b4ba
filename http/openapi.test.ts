import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { renderApiTypes } from './api-types.ts'
import { openApiDocument, OPERATIONS, UNDOCUMENTED } from './openapi.ts'

const ROOT = join(import.meta.dirname, '..')

/** Every public route that stands in the source of a process, as `get /api/sales/{sale}`. */
function routesInSource(): string[] {
  return ['node', 'orders', 'http'].flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !/\.(test|prop|e2e)\b|testing\//.test(file))
      .flatMap((file) => [
        ...readFileSync(join(ROOT, room, file), 'utf8').matchAll(/pattern(?::| =) '(\/api\/[^']*)'/g),
      ])
      .map(([, pattern = '']) => pattern.replaceAll(/:(\w+)/g, '{}')),
  )
}

describe('the OpenAPI document', () => {
  it('names every public route (add a new one to OPERATIONS in http/openapi.ts)', () => {
    const routes = routesInSource()
    expect(routes.length).toBeGreaterThan(5)
    const documented = new Set(OPERATIONS.map(({ path }) => path.replaceAll(/\{\w+\}/g, '{}')))
    const missing = routes.filter((route) => !documented.has(route) && !UNDOCUMENTED.some((one) => one.test(route)))
    expect(missing).toEqual([])
  })

  it('is whole: every reference leads somewhere, every parameter of a path is named, ids are used once', () => {
    const document = openApiDocument() as {
      paths: Record<string, Record<string, { operationId: string; parameters: { name: string; in: string }[] }>>
      components: { schemas: Record<string, unknown> }
    }
    const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
      ([, name]) => name,
    )
    expect(references.length).toBeGreaterThan(20)
    for (const name of references) expect(Object.keys(document.components.schemas)).toContain(name)
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.values(methods).map((operation) => ({ path, operation })),
    )
    for (const { path, operation } of operations) {
      const named = operation.parameters.filter((one) => one.in === 'path').map(({ name }) => `{${name}}`)
      expect(path.match(/\{\w+\}/g) ?? []).toEqual(named)
    }
    const ids = operations.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('gives the buyer page its types (after a change: npx vitest run --project unit http/openapi -u)', async () => {
    await expect(renderApiTypes()).toMatchFileSnapshot(join(ROOT, 'web', 'api-types.d.ts'))
  })
})
