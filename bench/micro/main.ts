/** `npm run bench -- micro`: what the parts of a purchase cost, each alone. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bench } from 'tinybench'
import type { MicroAnswer } from './answer.ts'
import { batcher } from './batcher.ts'
import { confirmScript } from './confirm-script.ts'
import { orderId } from './order-id.ts'
import type { Question, Task } from './question.ts'
import { quota } from './quota.ts'
import { tokenCheck } from './token-check.ts'

export const QUESTIONS: readonly Question[] = [quota, batcher, tokenCheck, orderId, confirmScript]

/** @param timeMs for each task, after as long again of warming up (at most half a second). */
export async function askMicro(questions: readonly Question[], timeMs: number): Promise<MicroAnswer[]> {
  const answers: MicroAnswer[] = []
  for (const question of questions) answers.push(...(await ask(question, timeMs)))
  return answers
}

async function ask(question: Question, timeMs: number): Promise<MicroAnswer[]> {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-micro-'))
  try {
    const { tasks, end } = await question.prepare(directory)
    try {
      const bench = new Bench({ time: timeMs, warmupTime: Math.min(timeMs, 500), throws: false })
      for (const { name, run } of tasks) bench.add(name, run)
      await bench.run()
      return tasks.map((task) => answerOf(question, task, bench))
    } finally {
      await end()
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function answerOf({ name, asks }: Question, task: Task, bench: Bench): MicroAnswer {
  const result = bench.getTask(task.name)?.result
  const known = { question: name, asks, task: task.name }
  if (result?.state !== 'completed') {
    const fault = result?.state === 'errored' ? result.error.message : `it is ${result?.state ?? 'not there'}`
    return { ...known, medianNs: null, p99Ns: null, samples: 0, fault }
  }
  const perThing = (ms: number): number => (ms * 1e6) / task.timesPerCall
  const { p50, p99, samplesCount } = result.latency
  return { ...known, medianNs: perThing(p50), p99Ns: perThing(p99), samples: samplesCount, fault: null }
}

export function microLines(answers: readonly MicroAnswer[]): string[] {
  return answers.flatMap(({ question, asks, task, medianNs, p99Ns, fault }, at) => {
    const isFirst = answers[at - 1]?.question !== question
    const figure = fault ?? `${shown(medianNs)} ns   p99 ${shown(p99Ns)} ns`
    return [...(isFirst ? ['', `${question}: ${asks}`] : []), `  ${task.padEnd(40)} ${figure}`]
  })
}

function shown(ns: number | null): string {
  return ns === null ? '-' : Math.round(ns).toLocaleString('en').padStart(9)
}
