/** Numbers, times and states in words. Pure. */

export const dash = '–'

const grouping = new Intl.NumberFormat('en-GB')

export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined) return dash
  return grouping.format(Number(value.toFixed(digits)))
}

export function counted(count: number, noun: string): string {
  return `${grouping.format(count)} ${noun}${count === 1 ? '' : 's'}`
}

export function percent(part: number, whole: number): number {
  return whole <= 0 ? 0 : Math.min(100, Math.max(0, (part / whole) * 100))
}

/** `just now`, `4 min ago`, `3 h ago`, `2 d ago`; in the future `in 5 min`. */
export function ago(atMs: number | null | undefined, nowMs: number): string {
  if (atMs === null || atMs === undefined) return 'never'
  const seconds = Math.round((nowMs - atMs) / 1000)
  if (Math.abs(seconds) < 10) return 'just now'
  return seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`
}

/** In the largest unit that is at least one. */
export function span(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return dash
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const step = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3))
  return `${number(count / 1000 ** step, step === 0 ? 0 : 1)} ${units[step]}`
}

export function clock(atMs: number, timeZone?: string): string {
  return new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone }).format(atMs)
}

export function dateTime(atMs: number | null | undefined, timeZone?: string): string {
  if (atMs === null || atMs === undefined) return dash
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone }).format(atMs)
}

export function parseTime(text: string | null | undefined): number | null {
  if (text === null || text === undefined) return null
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? null : atMs
}

export type Tone = 'good' | 'warn' | 'bad' | 'idle'
