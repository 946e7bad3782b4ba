import { expect, it } from 'vitest'
import { choosePorts } from './free-ports.ts'

const MANY = 400
/** So many that one below the range would be among them. */
const TIMES = 10

/** Why fetch had no answer of that port; undefined when it had one. */
async function whyNot(port: number): Promise<string | undefined> {
  try {
    await fetch(`http://127.0.0.1:${port}`)
    return undefined
  } catch (error) {
    return error instanceof Error ? String(error.cause) : String(error)
  }
}

it('chooses ports that differ, none of which fetch refuses to ask', async () => {
  expect(await whyNot(10_080)).toContain('bad port')
  for (let time = 0; time < TIMES; time += 1) {
    const ports = await choosePorts(Array.from({ length: MANY }, () => null))
    expect(new Set(ports).size).toBe(MANY)
    expect(Math.min(...ports)).toBeGreaterThan(10_080)
    expect(await whyNot(Math.max(...ports))).not.toContain('bad port')
  }
})
