/** What nginx says of itself at its status location. */
import http from 'node:http'
import { comparePlans } from './render.ts'
import type { PlanVersion } from './render.ts'

export interface Status extends PlanVersion {
  readonly workerPid: number
}

/** Null when nothing answers, or not in this form. */
export async function readStatus(port: number): Promise<Status | null> {
  const text = await read(port, '/version')
  try {
    return text === null ? null : (JSON.parse(text) as Status)
  } catch {
    return null
  }
}

/** What the running nginx says its plan is; null when nothing answers. */
export async function servedVersion(statusPort: number): Promise<PlanVersion | null> {
  const status = await readStatus(statusPort)
  return status && { era: status.era, seq: status.seq }
}

export async function serves(statusPort: number, version: PlanVersion): Promise<boolean> {
  const served = await servedVersion(statusPort)
  return served !== null && comparePlans(served, version) === 0
}

/** Clients' connections on which no request is under way, of all workers. Null when nothing answers. */
export async function idleConnections(statusPort: number): Promise<number | null> {
  const waiting = /^Reading: \d+ Writing: \d+ Waiting: (\d+)/m.exec((await read(statusPort, '/connections')) ?? '')
  return waiting && Number(waiting[1])
}

function read(port: number, path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false, timeout: 1000 }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', () => resolve(null))
      response.on('end', () => resolve(text))
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(null))
  })
}
