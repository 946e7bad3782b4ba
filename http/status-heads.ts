import { STATUS_CODES } from 'node:http'

const heads = new Map<string, Map<number, string>>()

/** Status line and the headers that every answer has, up to the value of X-Request-Id; made once per kind of answer. */
export function statusHead(status: number, contentType: string): string {
  let ofType = heads.get(contentType)
  if (ofType === undefined) heads.set(contentType, (ofType = new Map()))
  let head = ofType.get(status)
  if (head === undefined) {
    head = `${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\nContent-Type: ${contentType}\r\nCache-Control: no-store\r\nX-Request-Id: `
    ofType.set(status, head)
  }
  return head
}
