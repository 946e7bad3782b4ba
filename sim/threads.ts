/** Threads that simulate: started with an order, watched, and ended when there is no more to do. */
import { Worker } from 'node:worker_threads'
import type { WorkerOrder, WorkerReport } from './worker.ts'

/** No sale takes that long; one that does never ends. */
const SALE_TIMEOUT_MS = 120_000

/** Resolves when the thread has ended; `onReport` may return false to end it. A thread that hangs is ended, and told. */
export function runThread(
  file: URL | string,
  order: WorkerOrder,
  onReport: (report: WorkerReport) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(file, { workerData: order, execArgv: [] })
    let next = order.from
    let timer = setTimeout(hang, SALE_TIMEOUT_MS)
    function hang(): void {
      onReport({ seed: next, error: `no end after ${SALE_TIMEOUT_MS / 1000} s` })
      void worker.terminate()
    }
    worker.on('message', (report: WorkerReport) => {
      clearTimeout(timer)
      timer = setTimeout(hang, SALE_TIMEOUT_MS)
      next = report.seed + order.step
      if (!onReport(report)) void worker.terminate()
    })
    worker.on('error', reject)
    worker.on('exit', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
