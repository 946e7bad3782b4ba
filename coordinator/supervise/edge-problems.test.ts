/** nginx's errors stand in a table of their own, since the load balancer may not import `http`: the two must agree. */
import { describe, expect, it } from 'vitest'
import { PROBLEMS } from '../../http/problems.ts'
import { EDGE_RULES, TROUBLE } from '../../loadbalancer/problems.ts'

const known: Readonly<Record<string, { readonly status: number; readonly title: string } | undefined>> = PROBLEMS

describe('problems that nginx answers', () => {
  const fixed = EDGE_RULES.map(({ problem }) => problem).filter(({ code }) => !code.startsWith('$'))
  const trouble = Object.values(TROUBLE).map((each) => ({ ...each, status: 503 }))

  it.each([...fixed, ...trouble])('$code are those of the nodes', ({ code, status, title }) => {
    expect(known[code]).toMatchObject({ status, title })
  })
})
