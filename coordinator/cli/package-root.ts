/** Where `bin/` and `web/` are: the nearest directory above this file that has `bin/farebox`, built or not. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

export function packageRoot(): string {
  let dir = import.meta.dirname
  while (!existsSync(join(dir, 'bin', 'farebox'))) {
    const above = dirname(dir)
    if (above === dir) throw new Error(`bin/farebox is not above ${import.meta.dirname}`)
    dir = above
  }
  return dir
}
