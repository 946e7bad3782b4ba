import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RegisterCommand } from './frame.ts'

export const registerVersion: RegisterCommand = (cli) => {
  cli.program
    .command('version')
    .description('the version of farebox')
    .action(
      cli.action(async () => {
        const version = packageVersion()
        return { json: { version, node: process.versions.node }, text: version }
      }),
    )
}

/** From the nearest package.json above, so that it is the same from source and from dist. */
function packageVersion(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    try {
      const found: unknown = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
      if (typeof found === 'object' && found !== null && 'version' in found) return String(found.version)
    } catch {
      // Not here: look one higher.
    }
    const parent = dirname(directory)
    if (parent === directory) return 'unknown'
    directory = parent
  }
}
