/** One child process: start it apart from the terminal, wait until it is ready, end it, show what it last said. */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readIfThere } from '../../loadbalancer/atomic-file.ts'
import { identify, isAlive, signalProcess } from '../../runtime/process-identity.ts'
import type { ProcessIdentity } from '../../runtime/process-identity.ts'
import { waitFor } from '../../loadbalancer/wait.ts'
import { pinnedFetch } from '../../http/pinned-fetch.ts'
import { certificateOf } from './cluster-file.ts'
import { ClusterFailure, interrupted } from './failure.ts'

export interface Command {
  /** Names its log. */
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
}

export function logPath(dir: string, name: string): string {
  return join(dir, 'logs', `${name}.log`)
}

/** In a session of its own, so that the terminal's Ctrl-C reaches only the supervisor, which ends things in order. */
export async function startProcess(dir: string, { name, program, args }: Command): Promise<ProcessIdentity> {
  const path = logPath(dir, name)
  mkdirSync(dirname(path), { recursive: true })
  const log = openSync(path, 'a')
  try {
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log] })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    child.unref()
    const identity = child.pid === undefined ? null : identify(child.pid)
    if (!identity) throw new ClusterFailure('process_failed', `${name} ended at once:\n${lastLines(dir, name)}`)
    return identity
  } catch (error) {
    if (isNotFound(error))
      throw new ClusterFailure('missing_program', `${program} is not installed`, { program }, error)
    throw error
  } finally {
    closeSync(log)
  }
}

/** Waits for 200 from `/readyz`; fails as soon as the process ends. */
export async function waitReady(
  dir: string,
  name: string,
  process: ProcessIdentity,
  member: { readonly adminUrl: string; readonly certFile?: string },
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const certificate = certificateOf(member)
  let last = 'no answer'
  try {
    await waitFor(
      async () => {
        if (!isAlive(process)) throw new ClusterFailure('process_failed', `${name} ended`)
        const init = { signal: AbortSignal.timeout(1000) }
        const answer = await pinnedFetch(`${member.adminUrl}/readyz`, init, certificate).catch(() => null)
        if (answer) last = `${answer.status} ${(await answer.text().catch(() => '')).slice(0, 500)}`
        return answer?.status === 200
      },
      { deadlineMs, everyMs: 50, what: `${name} to be ready`, signal },
    )
  } catch (error) {
    if (signal?.aborted) throw interrupted(error)
    const why = error instanceof Error ? error.message : String(error)
    const lines = lastLines(dir, name)
    throw new ClusterFailure(
      'process_failed',
      `${name} did not become ready (${why}; readyz: ${last}). Its log, ${logPath(dir, name)}, ends with:\n${lines}`,
      { process: name, log: logPath(dir, name), lastLines: lines.split('\n') },
      error,
    )
  }
}

/** SIGTERM, and SIGKILL after the grace. Resolves when the process is gone. */
export async function stopProcess(
  process: ProcessIdentity | null,
  graceMs: number,
): Promise<'gone' | 'ended' | 'killed'> {
  if (!process || !signalProcess(process, 'SIGTERM')) return 'gone'
  // A stopped process takes no notice of SIGTERM until it goes on.
  signalProcess(process, 'SIGCONT')
  const gone = (): boolean => !isAlive(process)
  if (await waitFor(gone, { deadlineMs: graceMs, what: 'the end' }).catch(() => false)) return 'ended'
  signalProcess(process, 'SIGKILL')
  await waitFor(gone, { deadlineMs: 5000, what: `process ${process.pid} to be gone` })
  return 'killed'
}

export function lastLines(dir: string, name: string, count = 15): string {
  return (readIfThere(logPath(dir, name)) ?? '').trimEnd().split('\n').slice(-count).join('\n')
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
