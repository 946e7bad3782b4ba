import { once } from 'node:events'
import { readFileSync } from 'node:fs'

import { createServer, type Server } from 'node:https'
import { createServer as createPlainServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { pinnedFetch } from './pinned-fetch.ts'

function pem(name: string): string {
  return readFileSync(join(import.meta.dirname, '..', 'e2e', 'tls', `${name}.pem`), 'utf8')
}

let server: Server
let asked: string[]
beforeEach(async () => {
  // Of this server alone: a call that was given up may still arrive at the one before.
  const heard: string[] = []
  asked = heard
  server = createServer({ cert: pem('loopback-cert'), key: pem('loopback-key') }, (request, response) => {
    let body = ''
    request.on('data', (piece) => (body += String(piece)))
    request.on('end', () => {
      heard.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''} ${body}`)
      if (request.url !== '/never') response.writeHead(409, { 'content-type': 'application/json' }).end('{"a":1}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

function url(host: string, path: string): string {
  const address = server.address()
  return `https://${host}:${typeof address === 'object' ? address?.port : 0}${path}`
}

describe('a call to a server whose certificate is at hand', () => {
  it('is made, with the whole answer, under whatever name', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const init = { method: 'POST', headers: { authorization: 'Bearer t' }, body: 'x: 1' }
      const answer = await pinnedFetch(url(host, '/admin/sales?a=b'), init, pem('loopback-cert'))
      expect([answer.status, answer.ok, answer.headers.get('content-type')]).toEqual([409, false, 'application/json'])
      expect(await answer.json()).toEqual({ a: 1 })
    }
    expect(asked).toEqual(Array(2).fill('POST /admin/sales?a=b Bearer t x: 1'))
  })

  it('ends with its signal', async () => {
    const waiting = pinnedFetch(url('127.0.0.1', '/never'), { signal: AbortSignal.timeout(50) }, pem('loopback-cert'))
    await expect(waiting).rejects.toThrow(/abort/i)
  })
})

describe('a server that shows another certificate', () => {
  it('is told nothing', async () => {
    const init = { headers: { authorization: 'Bearer t' } }
    await expect(pinnedFetch(url('127.0.0.1', '/'), init, pem('stranger-cert'))).rejects.toThrow('nobody here knows')
    await expect(pinnedFetch(url('127.0.0.1', '/'), init, null)).rejects.toThrow()
    expect(asked).toEqual([])
  })
})

describe('a server that hangs', () => {
  it('before it shows anything ends with the signal', async () => {
    const mute = createPlainServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const address = mute.address()
    const target = `https://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`
    const init = { signal: AbortSignal.timeout(50) }
    await expect(pinnedFetch(target, init, pem('loopback-cert'))).rejects.toThrow('abort')
    await new Promise((resolve) => mute.close(resolve))
  })
})

describe('a server that is not there', () => {
  it('is an error', async () => {
    await expect(pinnedFetch('https://127.0.0.1:1/', {}, pem('loopback-cert'))).rejects.toThrow('ECONNREFUSED')
  })
})
