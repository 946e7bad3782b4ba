import { expect, it } from 'vitest'
import { parseRedisAddress } from './address.ts'

it('takes an address of Sentinels apart', () => {
  const address = parseRedisAddress('redis+sentinel://app:p%40ss@10.0.0.1:26001,10.0.0.2/tickets')
  expect(address).toMatchObject({
    kind: 'sentinels',
    options: {
      name: 'tickets',
      username: 'app',
      password: 'p@ss',
      sentinels: [
        { host: '10.0.0.1', port: 26_001 },
        { host: '10.0.0.2', port: 26_379 },
      ],
    },
  })
  expect(parseRedisAddress('redis+sentinel://a:1/m')).toMatchObject({
    options: { sentinels: [{ host: 'a', port: 1 }] },
  })
})

it('leaves other addresses to the driver', () => {
  expect(parseRedisAddress('redis://127.0.0.1:6380/0')).toEqual({ kind: 'server', url: 'redis://127.0.0.1:6380/0' })
})

it.each(['redis+sentinel://a:1', 'redis+sentinel:///m', 'redis+sentinel://a:1/'])('refuses %s', (url) => {
  expect(() => parseRedisAddress(url)).toThrow('host:port')
})
