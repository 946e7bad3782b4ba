/** The buyers: lines of `farebox token --count`, each a buyer, a tab, a token. */
import { SharedArray } from 'k6/data'
import { text } from './settings.ts'

export interface Person {
  readonly buyer: string
  readonly token: string
}

const lines = new SharedArray('people', () => open(text('TOKENS')).trim().split('\n'))

/** Null behind the last: a rate is rounded up, and whoever comes then has nobody to be. */
export function personAt(index: number): Person | null {
  const [buyer = '', token = ''] = (lines[index] ?? '').split('\t')
  return token === '' ? null : { buyer, token }
}
