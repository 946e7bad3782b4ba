import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../runtime/random.ts'
import { isProblemCode, PROBLEM_CODES, PROBLEMS, renderProblem, spreadRetryMs } from './problems.ts'
import { ProblemSchema } from './schemas.ts'

const ID = 'request-1'

function seconds(retryAfterMs: number): number | null {
  return renderProblem('busy', ID, { ...seededRandom(1), next: () => 0 }, null, { retryAfterMs }).retryAfterSeconds
}

describe('problems', () => {
  it('have the statuses of the contract', () => {
    const contract: Readonly<Record<number, string>> = {
      400: 'malformed bad_key bad_signature stale_timestamp',
      401: 'unauthenticated',
      403: 'blocked',
      404: 'not_found no_such_sale no_such_fare no_such_order no_such_payment',
      405: 'method_not_allowed',
      409: 'not_open paused closed sold_out all_held not_enough limit_reached not_picked not_held already_paid not_paid',
      413: 'too_large',
      422: 'key_reused bad_quantity wrong_amount',
      429: 'rate_limited',
      431: 'headers_too_large',
      500: 'internal',
      503: 'busy recovering outcome_unknown',
    }
    const byStatus: Record<number, string[]> = {}
    for (const code of PROBLEM_CODES) (byStatus[PROBLEMS[code].status] ??= []).push(code)
    expect(Object.fromEntries(Object.entries(byStatus).map(([status, codes]) => [status, codes.join(' ')]))).toEqual(
      contract,
    )
    expect([isProblemCode('sold_out'), isProblemCode('toString')]).toEqual([true, false])
  })

  it.each(PROBLEM_CODES)('%s is rendered to the schema', (code) => {
    const { status, body, retryAfterSeconds } = renderProblem(code, ID, seededRandom(1), 'a "quoted" detail')
    const problem = JSON.parse(body) as Record<string, unknown>
    expect(Value.Check(ProblemSchema, problem)).toBe(true)
    expect(problem).toMatchObject({
      type: `urn:farebox:problem:${code}`,
      status,
      code,
      requestId: ID,
      detail: 'a "quoted" detail',
    })
    expect(problem['retryAfterMs'] === null).toBe(retryAfterSeconds === null)
  })

  it('say when to come back exactly where the contract wants it', () => {
    const due = PROBLEM_CODES.filter((code) => renderProblem(code, ID, seededRandom(1)).retryAfterSeconds !== null)
    const wanted = 'not_open paused all_held not_picked rate_limited busy recovering outcome_unknown'
    expect(due.join(' ')).toBe(wanted)
  })

  it('carry extension members', () => {
    const members = { opensAt: '2027-01-20T02:00:00.000Z', remaining: 3 }
    expect(JSON.parse(renderProblem('not_open', ID, seededRandom(1), null, { members }).body)).toMatchObject(members)
    // A draft has no hour yet.
    const draft: unknown = JSON.parse(
      renderProblem('not_open', ID, seededRandom(1), null, { members: { opensAt: null } }).body,
    )
    expect(draft).toMatchObject({ opensAt: null })
    expect(Value.Check(ProblemSchema, draft)).toBe(true)
  })

  it('spread the crowd over up to 30 %, never early, and over 10 s at most', () => {
    const random = seededRandom(5)
    const draws = Array.from({ length: 1000 }, () => spreadRetryMs(1000, random))
    expect(Math.min(...draws)).toBeGreaterThanOrEqual(1000)
    expect(Math.max(...draws)).toBeLessThanOrEqual(1300)
    expect(Math.max(...draws) - Math.min(...draws)).toBeGreaterThan(250)
    expect(spreadRetryMs(86_400_000, { ...random, next: () => 1 })).toBe(86_410_000)
  })

  it('round Retry-After up, to at least a second', () => {
    expect([seconds(0), seconds(200), seconds(1001)]).toEqual([1, 1, 2])
  })
})
