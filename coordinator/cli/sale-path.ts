import { CliError, EXIT } from './frame.ts'

const ID = /^[a-z0-9][a-z0-9-]{0,31}$/

export function isId(text: string): boolean {
  return ID.test(text)
}

/** The admin path of a sale, or of something about it. */
export function salePath(saleId: string, about?: string): string {
  if (!ID.test(saleId)) {
    const message = `"${saleId}" is no sale id: 1 to 32 of a-z, 0-9 and -, not starting with -`
    throw new CliError(EXIT.usage, 'usage', message)
  }
  return about === undefined ? `/admin/sales/${saleId}` : `/admin/sales/${saleId}/${about}`
}
