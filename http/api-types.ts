/** TypeScript types from the schemas of the API, for whoever has nothing else of ours: the buyer page. */
import { schemas } from './openapi.ts'

interface Shape {
  readonly type?: string
  readonly const?: string | boolean
  readonly anyOf?: readonly Shape[]
  readonly items?: Shape
  readonly properties?: Readonly<Record<string, Shape>>
  readonly required?: readonly string[]
}

export function renderApiTypes(): string {
  const types = Object.entries(schemas()).map(
    ([name, schema]) => `export type ${name} = ${typeOf(schema as Shape, '')}\n`,
  )
  return `// Made from the schemas in http/; a test keeps it so.\n\n${types.join('\n')}`
}

function typeOf(shape: Shape, indent: string): string {
  if (shape.const !== undefined) return typeof shape.const === 'string' ? `'${shape.const}'` : String(shape.const)
  if (shape.anyOf !== undefined) return shape.anyOf.map((one) => typeOf(one, indent)).join(' | ')
  switch (shape.type) {
    case 'array':
      return `readonly (${typeOf(shape.items ?? {}, indent)})[]`
    case 'object':
      return objectType(shape, indent)
    case 'integer':
    case 'number':
      return 'number'
    case 'string':
    case 'boolean':
    case 'null':
      return shape.type
    default:
      return 'unknown'
  }
}

function objectType({ properties = {}, required = [] }: Shape, indent: string): string {
  const inner = `${indent}  `
  const lines = Object.entries(properties).map(([name, shape]) => {
    const mark = required.includes(name) ? '' : '?'
    return `${inner}readonly ${name}${mark}: ${typeOf(shape, inner)}`
  })
  return `{\n${lines.join('\n')}\n${indent}}`
}
