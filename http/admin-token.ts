/** The token of the admin API: made once per cluster directory, readable by its owner only. */
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, readIfThere } from '../runtime/durable-file.ts'

export function adminTokenPath(directory: string): string {
  return join(directory, 'admin.token')
}

/** Reads it, or makes it; of several processes that make it at once, the first wins. */
export async function ensureAdminToken(directory: string): Promise<string> {
  const path = adminTokenPath(directory)
  try {
    const file = await open(path, 'wx', 0o600)
    const token = randomBytes(32).toString('hex')
    await file.writeFile(`${token}\n`)
    await file.sync()
    await file.close()
    return token
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  }
  const token = (await readIfThere(path))?.trim() ?? ''
  if (token === '') throw new Error(`${path} is empty: remove it, and it is made anew`)
  return token
}
