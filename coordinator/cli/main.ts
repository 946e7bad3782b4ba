/** Run by bin/farebox. The exit code is only set: `up` and `run` go on after their command returned. */
import { runCli } from './program.ts'

process.exitCode = await runCli(process.argv.slice(2))
