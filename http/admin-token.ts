/** The tokens of the admin API: made once per cluster directory, readable by their owner only. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { link, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, readIfThere } from '../runtime/durable-file.ts'

export function viewerTokenPath(directory: string): string {
  return join(directory, 'viewer.token')
}

export function adminTokenPath(directory: string): string {
  return join(directory, 'admin.token')
}

/** Does this Authorization header carry the token? Compared as hashes: nothing to learn from the time it takes. */
export function isBearer(header: string | undefined, token: string): boolean {
  const given = /^Bearer (.+)$/.exec(header ?? '')?.[1]
  return given !== undefined && timingSafeEqual(hash(given), hash(token))
}

function hash(value: string): Buffer {
  return createHash('sha256').update(value).digest()
}

/** Both tokens; of several processes that make them at once, the first wins. */
export async function ensureAdminTokens(directory: string): Promise<{ operator: string; viewer: string }> {
  const [operator, viewer] = await Promise.all([
    ensureToken(adminTokenPath(directory)),
    ensureToken(viewerTokenPath(directory)),
  ])
  return { operator, viewer }
}

/** Written beside and linked into place, so that no other process ever reads half a token. */
async function ensureToken(path: string): Promise<string> {
  const known = await readIfThere(path)
  if (known === null) {
    const draft = `${path}.${process.pid}.tmp`
    const file = await open(draft, 'w', 0o600)
    await file.writeFile(`${randomBytes(32).toString('hex')}\n`)
    await file.sync()
    await file.close()
    await link(draft, path).catch((error: unknown) => {
      if (!isCode(error, 'EEXIST')) throw error
    })
    await unlink(draft)
  }
  const token = (known ?? (await readIfThere(path)))?.trim() ?? ''
  if (token === '') throw new Error(`${path} is empty: remove it, and it is made anew`)
  return token
}
