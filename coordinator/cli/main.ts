/** Run by bin/farebox. After success the process ends by itself: `up` and `run` go on after their command returned. */
import { runCli } from './program.ts'

const exitCode = await runCli(process.argv.slice(2))
// After a failure nothing goes on, whatever a command that failed half-way has left open.
if (exitCode !== 0) process.exit(exitCode)
