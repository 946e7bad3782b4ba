import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SILENT } from '../runtime/log.ts'
import { startAdminServer, type AdminServer } from './admin-server.ts'

const MEBIBYTE = 1024 * 1024
let server: AdminServer
const heard: number[] = []

beforeAll(async () => {
  server = await startAdminServer({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    token: 'operator',
    viewerToken: 'viewer',
    answer: async ({ body }) => {
      heard.push(body.length)
      return { status: 200, body: { length: body.length } }
    },
    isReady: () => true,
    metrics: async () => ({ contentType: 'text/plain', body: '' }),
    log: SILENT,
  })
})
afterAll(() => server.close())

async function post(bytes: number, token = 'operator'): Promise<{ readonly status: number; readonly body: unknown }> {
  const headers = { authorization: `Bearer ${token}` }
  const answer = await fetch(`${server.url}/admin/sales`, { method: 'POST', headers, body: 'x'.repeat(bytes) })
  return { status: answer.status, body: await answer.json() }
}

describe('a viewer', () => {
  it('may look, and nothing that would change anything is even passed on', async () => {
    heard.length = 0
    expect(await post(1, 'viewer')).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
    expect(heard).toEqual([])
    const headers = { authorization: 'Bearer viewer' }
    expect((await fetch(`${server.url}/admin/sales`, { headers })).status).toBe(200)
  })
})

describe('a body for the admin API', () => {
  it('may be of one mebibyte', async () => {
    expect(await post(MEBIBYTE)).toEqual({ status: 200, body: { length: MEBIBYTE } })
  })

  it.each([MEBIBYTE + 1, 20 * MEBIBYTE])(
    'of %d bytes is refused in so many words, and changes nothing',
    async (bytes) => {
      heard.length = 0
      expect(await post(bytes)).toMatchObject({ status: 413, body: { error: { code: 'too_large' } } })
      expect(heard).toEqual([])
      expect((await post(1)).status).toBe(200)
    },
  )

  it('is not even judged without a token', async () => {
    expect((await post(MEBIBYTE + 1, 'wrong')).status).toBe(401)
  })
})
