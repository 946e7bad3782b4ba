/** Small pieces of HTML. Everything that comes from a run is escaped. */

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escape(text: string | number): string {
  return String(text).replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}

/** A cell's text, escaped here, or ready HTML. */
export type Cell = string | number | null | { readonly html: string }

export interface Column {
  readonly head: string
  readonly isNumber?: boolean
}

export function table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): string {
  const className = ({ isNumber }: Column): string => (isNumber === true ? ' class="number"' : '')
  const head = columns.map((column) => `<th scope="col"${className(column)}>${escape(column.head)}</th>`).join('')
  const body = rows.map(
    (row) =>
      `<tr>${row.map((cell, n) => `<td${className(columns[n] ?? { head: '' })}>${cellHtml(cell)}</td>`).join('')}</tr>`,
  )
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>`
}

function cellHtml(cell: Cell): string {
  if (cell === null) return '<span class="missing">missing</span>'
  return typeof cell === 'object' ? cell.html : escape(typeof cell === 'number' ? shown(cell) : cell)
}

/** A figure with as many digits as mean something. */
export function shown(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return 'missing'
  const size = Math.abs(value)
  if (size === 0 || (Number.isInteger(value) && size < 1e15)) return value.toLocaleString('en')
  const digits = size >= 1000 ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4
  return value.toLocaleString('en', { maximumFractionDigits: digits })
}

export function badge(verdict: string): string {
  return `<span class="badge ${verdict.toLowerCase().replaceAll(' ', '-')}">${escape(verdict)}</span>`
}

export function list(items: readonly string[], className: string): string {
  if (items.length === 0) return ''
  return `<ul class="${className}">${items.map((item) => `<li>${escape(item)}</li>`).join('')}</ul>`
}

export function facts(of: Readonly<Record<string, string | number>>): string {
  const pairs = Object.entries(of).map(
    ([name, value]) => `<div><dt>${escape(words(name))}</dt><dd>${escape(value)}</dd></div>`,
  )
  return `<dl class="facts">${pairs.join('')}</dl>`
}

/** `limitPerBuyer` as `limit per buyer`. */
function words(name: string): string {
  return name.replaceAll(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`)
}
