import { rotateKeys, type RotatedKeys } from '../operations/money.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { group } from './group.ts'

export const registerKey: RegisterCommand = (cli) => {
  group(cli.program, 'key', 'the keys that sign tickets')
    .command('rotate')
    .description('sign with a new key from now on; tickets signed before stay genuine')
    .action(
      cli.action(async (common) => {
        const call = { method: 'POST', path: '/admin/keys/rotate' } as const
        const rotated = await ask<RotatedKeys>(common, call, rotateKeys)
        const text = `key ${rotated.kid} signs from now on; ${rotated.keys} are published: give gates the new list`
        return { json: rotated, text }
      }),
    )
}
