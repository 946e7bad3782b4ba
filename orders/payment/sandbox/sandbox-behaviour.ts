/** How badly the sandbox behaves: by configuration for every payment, by the form or JSON of one press for that one. */
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'

const Count = (maximum: number) => Type.Integer({ minimum: 0, maximum })

export const SandboxBehaviour = Type.Object({
  /** Before an event is sent first. */
  delayMs: Count(86_400_000),
  /** Times that each event is sent again. */
  duplicates: Count(10),
  /** Pressing pay ends as an attempt that failed. */
  failure: Type.Boolean(),
  /** An attempt that failed before the payment is told after it. */
  outOfOrder: Type.Boolean(),
  /** Somebody without the secret tells of a payment first. */
  forged: Type.Boolean(),
  /** An event with another amount comes first. */
  wrongAmount: Type.Boolean(),
})
export type SandboxBehaviour = Static<typeof SandboxBehaviour>

export const GOOD_BEHAVIOUR: SandboxBehaviour = {
  delayMs: 0,
  duplicates: 0,
  failure: false,
  outOfOrder: false,
  forged: false,
  wrongAmount: false,
}

const EventKinds = Type.Array(Type.Union([Type.Literal('paid'), Type.Literal('failed'), Type.Literal('refunded')]), {
  maxItems: 10,
})

export const SandboxPress = Type.Object({
  outcome: Type.Optional(Type.Union([Type.Literal('pay'), Type.Literal('decline')])),
  /** Pays once more what is paid already: a second charge. */
  again: Type.Optional(Type.Boolean()),
  /** Exactly these events of one charge, sent in this order, instead of what paying would send. */
  events: Type.Optional(EventKinds),
  ...Type.Partial(SandboxBehaviour).properties,
})
export type SandboxPress = Static<typeof SandboxPress>

/** A press as it came: JSON, or the fields of a form. Null when it is neither. */
export function readPress(body: Buffer | null, contentType: string): SandboxPress | null {
  const value = contentType.startsWith('application/json') ? parseJson(body) : parseForm(body)
  return Value.Check(SandboxPress, value) ? value : null
}

function parseJson(body: Buffer | null): unknown {
  if (body === null) return {}
  try {
    return JSON.parse(body.toString('utf8')) as unknown
  } catch {
    return null
  }
}

function parseForm(body: Buffer | null): unknown {
  const fields = [...new URLSearchParams(body?.toString('utf8') ?? '')]
  return Object.fromEntries(
    fields.filter(([, text]) => text !== '').map(([name, text]) => [name, fieldValue(name, text)]),
  )
}

function fieldValue(name: string, text: string): unknown {
  if (name === 'events') return text.split(',')
  if (text === 'true' || text === 'on') return true
  if (text === 'false') return false
  return /^\d{1,9}$/.test(text) ? Number(text) : text
}
