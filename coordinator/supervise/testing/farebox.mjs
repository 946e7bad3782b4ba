#!/usr/bin/env node
// Stands in for bin/farebox in tests of the supervisor: real `up` and `down`, and processes that only answer.
// FAKE_SALE is a sale that exists; FAKE_TROUBLE makes each call's first try work and fail to say so; FAKE_FAIL names a process that ends at once, FAKE_HANG one that never becomes ready.
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'

const [command, ...args] = process.argv.slice(2)
const option = (name) => args[args.indexOf(name) + 1]

function serve(port, answer) {
  createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      const [status, value] = answer(request, body)
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
    })
  }).listen(Number(port), '127.0.0.1')
}

function runProcess() {
  const [kind] = args
  const id = option('--id')
  console.log(`${kind} ${id} starts`)
  if (process.env.FAKE_FAIL === id) {
    console.error(`${id} cannot: the moon is full`)
    process.exit(1)
  }
  readFileSync(join(option('--dir'), 'config.yaml'))
  const sales = new Map(process.env.FAKE_SALE ? [['demo', process.env.FAKE_SALE]] : [])
  const tried = new Set()
  serve(option('--admin-port'), (request, body) => {
    if (request.method === 'POST') console.log(`asked ${request.url}`)
    if (request.url === '/readyz') return process.env.FAKE_HANG === id ? [503, { waiting: 'for ever' }] : [200, {}]
    const token = readFileSync(join(option('--dir'), 'admin.token'), 'utf8')
    if (request.headers.authorization !== `Bearer ${token}`)
      return [401, { error: { code: 'unauthenticated', message: 'bad token' } }]
    if (process.env.FAKE_TROUBLE && !tried.has(request.url)) {
      tried.add(request.url)
      sales.set('demo', body)
      return [409, { error: { code: 'internal', message: 'the call failed' } }]
    }
    if (request.url.endsWith('/open')) return [200, { outcome: 'changed' }]
    if (sales.size === 0) sales.set('demo', body)
    else if (sales.get('demo') !== body)
      return [409, { error: { code: 'sale_differs', message: 'sale "demo" exists and differs' } }]
    else return [200, { outcome: 'unchanged', sale: { state: process.env.FAKE_TROUBLE ? 'draft' : 'paused' } }]
    return [201, { outcome: 'created' }]
  })
  if (kind === 'node' || kind === 'orders') serve(option('--port'), () => [200, { node: id }])
  process.on('SIGTERM', () => process.exit(0))
}

async function runCommand() {
  const program = new Command().exitOverride()
  const json = args.includes('--json')
  const dir = option('--dir')
  const cli = {
    program,
    note: (line) => console.error(line),
    action:
      (run) =>
      async (...given) => {
        try {
          const result = await run({ dir, json }, given.at(-2))
          console.log(json ? JSON.stringify(result.json) : result.text)
        } catch (error) {
          console.log(JSON.stringify({ error: { code: error.code, message: error.message } }))
          process.exitCode = error.exitCode ?? 1
        }
      },
  }
  const { registerUp } = await import('../dist/coordinator/cli/up.js')
  const { registerDown } = await import('../dist/coordinator/cli/down.js')
  registerUp(cli)
  registerDown(cli)
  for (const one of program.commands) one.option('--dir <DIR>').option('--json')
  await program.parseAsync(process.argv)
}

if (command === 'run') runProcess()
else await runCommand()
