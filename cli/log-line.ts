/** A program's log line, shortened for the terminal of whoever runs it: time, program, event, and what tells most. Pure. */
import { errorCodes } from '../core/contract/errors.ts'

const levels = ['warn', 'error', 'fatal'] as const
export type ShownLevel = (typeof levels)[number]

export interface ShownLine {
  readonly level: ShownLevel
  readonly text: string
  /** Program and event. */
  readonly kind: string
  /** Lines with one key say the same thing again; of numbers only those that name something tell them apart. */
  readonly key: string
}

const leftOut = new Set(['level', 'time', 'program', 'event', 'error', 'stack'])
/** Numbers that name something; others are measured and differ each time. */
const naming = new Set(['line', 'port'])
const charsMax = 100

/** @returns undefined for what only the log file needs: information, lines that are no events, and what whoever started it tells in full */
export function shownLine(line: string): ShownLine | undefined {
  let fields: Record<string, unknown>
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value !== 'object' || value === null) return undefined
    fields = value as Record<string, unknown>
  } catch {
    return undefined
  }
  const level = levels.find((known) => known === fields.level)
  if (level === undefined || typeof fields.event !== 'string') return undefined
  const program = String(fields.program ?? '')
  if (fields.event === 'program.failed' && isMisconfigured(fields.error)) return undefined
  const details = Object.entries(fields)
    .filter(([name, value]) => !leftOut.has(name) && ['string', 'number', 'boolean'].includes(typeof value))
    .map(([name, value]) => `${name}=${String(value)}`)
  const said = [fields.event, ...details, errorOf(fields.error)].filter((part) => part !== '').join('  ')
  return {
    level,
    kind: `${program} ${fields.event}`,
    key: JSON.stringify([program, fields.event, ...namesOf(fields)]),
    text: `${program.padEnd(12)}  ${said.length > charsMax ? `${said.slice(0, charsMax - 1)}…` : said}`,
  }
}

function namesOf(fields: Record<string, unknown>): unknown[] {
  return Object.entries(fields).filter(
    ([name, value]) => !leftOut.has(name) && (typeof value === 'string' || naming.has(name)),
  )
}

/** Such a program ends with its faults in words, and the supervisor repeats them. */
function isMisconfigured(error: unknown): boolean {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return Object.entries(errorCodes).some(([known, [kind]]) => known === code && kind === 'misconfigured')
}

function errorOf(error: unknown): string {
  if (typeof error === 'string') return error
  if (typeof error !== 'object' || error === null) return ''
  const { code, message } = error as { code?: unknown; message?: unknown }
  return [code, message].filter((part) => typeof part === 'string').join(': ')
}
