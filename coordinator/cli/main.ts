/** Run by bin/farebox. After success the process ends by itself: `up` and `run` go on after their command returned. */
import { runCli } from './program.ts'

const argv = process.argv.slice(2)
// Whoever read the output has gone (`farebox status | head -1`): nothing is left to say. What supervises or serves
// goes on without listeners.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    if (!argv.includes('up') && !argv.includes('run')) process.exit(0)
  })
}

const exitCode = await runCli(argv)
// After a failure nothing goes on, whatever a command that failed half-way has left open.
if (exitCode !== 0) process.exit(exitCode)
