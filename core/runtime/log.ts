/**
 * One event, one line, JSON: `log.info('device.connected', { deviceId })`.
 * Whatever is handed in, no line carries an access token or a client secret: both have a recognisable shape
 * and are cut out of the finished line.
 */
import { pino } from 'pino'

export type LogFields = Readonly<Record<string, unknown>>
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'silent'

/** `error` among the fields is written with its code, stack and causes. */
export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  fatal(event: string, fields?: LogFields): void
  /** @param level its own; absent: the parent's */
  child(fields: LogFields, level?: LogLevel): Log
}

const tokenShape = /eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}/g
/** Client secrets and enrolment keys. */
const secretShape = /lot(?:sec|enr)_[A-Za-z0-9_-]{8,}/g
/** The value of an Authorization header, whatever its scheme wraps. */
const authorizationShape = /\b(Basic|Bearer) +[A-Za-z0-9+/._~-]{16,}=*/gi
const causesMax = 5
const secretMembers = [
  'password',
  'client_secret',
  'client_assertion',
  'access_token',
  'authorization',
  'token',
]

/** Replaces everything in a text that looks like a token or a secret of ours. */
export function redact(text: string): string {
  return text
    .replace(tokenShape, '[token]')
    .replace(secretShape, '[secret]')
    .replace(authorizationShape, '$1 [secret]')
}

/** @param write receives whole lines; default: standard output */
export function createLog(options: {
  program: string
  level?: LogLevel
  write?: (line: string) => void
}): Log {
  const destination = { write: options.write ?? ((line: string) => void process.stdout.write(line)) }
  const logger = pino(
    {
      level: options.level ?? 'info',
      base: { program: options.program },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
      redact: {
        paths: secretMembers.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        censor: '[secret]',
      },
      serializers: { error: (error: unknown) => serializeError(error, causesMax) },
      hooks: { streamWrite: redact },
    },
    destination,
  )
  return wrap(logger)
}

function wrap(logger: pino.Logger): Log {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error' | 'fatal') =>
    (event: string, fields: LogFields = {}) =>
      logger[level]({ event, ...fields })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('fatal'),
    child: (fields, level) => wrap(logger.child(fields, level === undefined ? {} : { level })),
  }
}

/** @param causes how many levels below it are told: a chain of causes may be a ring */
function serializeError(error: unknown, causes: number): unknown {
  if (!(error instanceof Error)) return String(error)
  const { code, faults } = error as Error & { code?: unknown; faults?: readonly string[] }
  return {
    name: error.name,
    message: error.message,
    ...(code === undefined ? {} : { code }),
    ...(faults?.length ? { faults } : {}),
    stack: error.stack,
    ...(error.cause === undefined || causes === 0 ? {} : { cause: serializeError(error.cause, causes - 1) }),
  }
}
