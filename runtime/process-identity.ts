/**
 * A process is a pid *and* its start time: pids are used again, and a signal for a process that died must not hit
 * the stranger that got its number. Both come from /proc, so this works on Linux only.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot, as /proc/PID/stat has it. */
  readonly startTicks: number
}

/** Null when no process has this pid, or only a zombie has it. */
export function identify(pid: number): ProcessIdentity | null {
  const stat = readProc(pid, 'stat')
  if (stat === null) return null
  // The second field is the program's name in brackets and may hold anything, spaces and brackets too.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  if (state === 'Z' || state === 'X') return null
  return { pid, startTicks: Number(fields[19]) }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTicks === identity.startTicks
}

/** Sends a signal to just this process. False when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false
  try {
    process.kill(identity.pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Arguments joined by spaces, as the process shows them now. Null when it is gone. */
export function commandLine(pid: number): string | null {
  return readProc(pid, 'cmdline')?.replaceAll('\0', ' ').trim() ?? null
}

export function childrenOf(pid: number): number[] {
  const children = readProc(pid, `task/${pid}/children`)
  return children === null ? [] : children.trim().split(/\s+/).filter(Boolean).map(Number)
}

/** Whether a process has this file open, as far as we may look. */
export function hasOpen(pid: number, path: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === path)
  } catch {
    return false
  }
}

function readProc(pid: number, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return null
  }
}
