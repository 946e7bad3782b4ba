/** The part of a logger that the rooms use. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export const SILENT: Log = { info: () => {}, warn: () => {}, error: () => {} }
