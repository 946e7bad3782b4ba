/** Logs are JSON lines on stderr: stdout belongs to results, so that `--json` stays one document. */
import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino'

export type Logger = PinoLogger

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/**
 * `bindings` are in every line (process kind, id). Writes are synchronous, so that the last line before a crash is
 * there; the hot path therefore does not log.
 */
export function createLogger(
  options: { readonly level: LogLevel; readonly bindings?: Readonly<Record<string, string | number>> },
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Logger {
  return pino(
    {
      level: options.level,
      base: options.bindings ?? {},
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}
