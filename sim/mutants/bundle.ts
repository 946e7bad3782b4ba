/** The simulator's thread as one file, with one text in the sources replaced. */
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import type { Mutant } from './mutants.ts'

/** Packages stay where they are; the file therefore lies below the root. */
const PACKAGES = /^[a-z@]/

/** How often `find` stands in the text. */
export function occurrences(text: string, find: string): number {
  return text.split(find).length - 1
}

/** Changes the one place, or says that there is not one. */
export function plant(text: string, { name, file, find, replace }: Mutant): string {
  const count = occurrences(text, find)
  if (count !== 1) throw new Error(`mutant ${name}: its text stands ${count} times in ${file}, not once`)
  return text.replace(find, () => replace)
}

/** A directory for bundles below the root; whoever asks for it removes it. */
export function bundleDirectory(root: string): string {
  return mkdtempSync(join(root, '.sim-mutants-'))
}

/** Resolves to the path of the bundle; `mutant` null for none. */
export async function bundleWorker(root: string, directory: string, mutant: Mutant | null): Promise<string> {
  let isPlanted = mutant === null
  const build = await rolldown({
    input: join(root, 'sim', 'worker.ts'),
    platform: 'node',
    external: (id) => PACKAGES.test(id) && !id.startsWith(root),
    plugins: [
      {
        name: 'plant',
        transform(code, id) {
          if (mutant === null || id !== join(root, mutant.file)) return null
          isPlanted = true
          return plant(code, mutant)
        },
      },
    ],
  })
  const file = join(directory, `${mutant?.name ?? 'whole'}.mjs`)
  await build.write({ file, format: 'esm' })
  await build.close()
  if (!isPlanted) throw new Error(`mutant ${mutant?.name}: the simulator does not use ${mutant?.file}`)
  return file
}
