import { describe, expect, it } from 'vitest'
import { baseUrl } from './base-url.ts'

describe('the address under which we are reached', () => {
  it.each([
    [['tickets.example', '', ''], 'http://tickets.example'],
    [['tickets.example:8080', '', 'https'], 'https://tickets.example:8080'],
    [['inner:81', 'tickets.example', 'https, http'], 'https://tickets.example'],
    [['inner:81', 'outer.example, middle', ''], 'http://outer.example'],
    [['[::1]:8080', '', ''], 'http://[::1]:8080'],
    [['', '', ''], 'http://localhost'],
    [['evil.example/path', '', ''], 'http://localhost'],
    [['a b', '"><script>', 'javascript'], 'http://localhost'],
  ])('of %j is %s', (headers, expected) => expect(baseUrl(null, headers)).toBe(expected))

  it('is what the operator wrote, whatever a request says', () => {
    expect(baseUrl('https://tickets.example', ['evil.example', '', ''])).toBe('https://tickets.example')
  })
})
