import { describe, expect, it } from 'vitest'
import { redisConfig } from './redis.ts'

describe("the cluster's own Redis", () => {
  const settings = new Map(
    redisConfig('/data/box', 6380)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const [name = '', ...value] = line.split(' ')
        return [name, value.join(' ')]
      }),
  )

  it('keeps what it acknowledged, and forgets nothing for want of room', () => {
    expect(settings.get('appendonly')).toBe('yes')
    expect(settings.get('appendfsync')).toBe('always')
    expect(settings.get('no-appendfsync-on-rewrite')).toBe('no')
    expect(settings.get('maxmemory-policy')).toBe('noeviction')
  })

  it('has room in its file for a million tickets before it rewrites it, and rewrites it then', () => {
    expect(settings.get('auto-aof-rewrite-min-size')).toBe('256mb')
    // 0 would never rewrite, and the file would grow without a bound.
    expect(Number(settings.get('auto-aof-rewrite-percentage'))).toBe(100)
  })
})
