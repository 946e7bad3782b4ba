/** CPU time that processes have used: far steadier on a shared machine than how much they got done. */
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'

/** Of the kernel's counts of time, on every Linux that Node runs on. */
const TICK_MS = 10

/** User and system time of a process and all its threads, in ms. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

export async function redisCpuMs(redis: Redis): Promise<number> {
  const cpu = await redis.info('cpu')
  const seconds = (field: string): number => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(cpu)?.[1])
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1000
}
