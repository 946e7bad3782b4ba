import { describe, expect, it } from 'vitest'
import { EDGE_DEFAULTS, render, TopologyError } from './render.ts'
import type { Topology } from './render.ts'

const topology: Topology = {
  version: { era: 2, seq: 7 },
  dir: '/var/farebox/nginx',
  user: null,
  listen: { host: '0.0.0.0', port: 8080 },
  statusPort: 8099,
  nodes: [
    { id: 'n1', host: '127.0.0.1', port: 9001, weight: 1 },
    { id: 'n2', host: '127.0.0.1', port: 9002, weight: 3 },
  ],
  orders: [{ id: 'o1', host: '127.0.0.1', port: 9101 }],
  webDir: '/srv/farebox/web',
  live: false,
  limits: EDGE_DEFAULTS,
}

describe('render', () => {
  it('renders a fleet with static files', () => {
    expect(render(topology)).toMatchSnapshot()
  })

  it('answers every call as busy when nobody takes traffic, started by root, without files', () => {
    expect(render({ ...topology, nodes: [], orders: [], webDir: null, user: 'root' })).toMatchSnapshot()
  })

  it('serves live only when told', () => {
    expect(render(topology)).not.toContain('/api/live')
    expect(render({ ...topology, live: true })).toContain('location = /api/live {')
  })

  it('never lets a sent POST go to a second node', () => {
    expect(render(topology)).not.toContain('non_idempotent')
  })

  it.each<[string, Partial<Topology>]>([
    ['a weight of 0', { nodes: [{ id: 'n1', host: '127.0.0.1', port: 9001, weight: 0 }] }],
    ['a port out of range', { nodes: [{ id: 'n1', host: '127.0.0.1', port: 70_000, weight: 1 }] }],
    ['a host that ends the directive', { nodes: [{ id: 'n1', host: 'a; return 200', port: 9001, weight: 1 }] }],
    ['an id that ends the comment', { nodes: [{ id: 'n1\n', host: '127.0.0.1', port: 9001, weight: 1 }] }],
    ['a directory that ends the string', { dir: '/tmp/a";' }],
    ['a version that is no number', { version: { era: 1, seq: Number.NaN } }],
  ])('refuses %s', (_, change) => {
    expect(() => render({ ...topology, ...change })).toThrow(TopologyError)
  })
})
