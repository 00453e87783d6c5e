/**
 * When a lot is open, in the part of OpenStreetMap's `opening_hours` that weeks are made of: `Mo-Fr 06:00-22:00; Sa
 * 08:00-20:00; Su off`, or `24/7`. A rule without days means all of them; a later rule replaces what earlier ones say of
 * its days; hours that end before they begin end the next day. Holidays, months and sunsets are not in it. Pure.
 */

/** Minutes of the local week, which begins on Monday at midnight; `to` exclusive. */
export interface OpenMinutes {
  readonly from: number
  readonly to: number
}

const days = ['Mo', 'Tu', 'We', 'Th', 'Fr', 'Sa', 'Su']
const dayMinutes = 24 * 60
export const weekMinutes = days.length * dayMinutes

/**
 * @returns in order, none overlapping, none reaching beyond the week
 * @throws RangeError for what is not understood, which it names
 */
export function parseOpeningHours(text: string): OpenMinutes[] {
  const ofDay: OpenMinutes[][] = days.map(() => [])
  for (const rule of text.split(';').map((part) => part.trim())) {
    const { among, hours } = parseRule(rule)
    for (const day of among)
      ofDay[day] = hours.map(({ from, to }) => ({ from: day * dayMinutes + from, to: day * dayMinutes + to }))
  }
  return joined(ofDay.flat().flatMap(withinWeek))
}

/** @returns of a stretch of the local week, which may reach into the next, the minutes in which it is open */
export function openMinutesIn(open: readonly OpenMinutes[], from: number, length: number): number {
  const stretches = withinWeek({ from, to: from + length })
  return stretches
    .flatMap((stretch) => open.map((one) => Math.min(one.to, stretch.to) - Math.max(one.from, stretch.from)))
    .reduce((sum, minutes) => sum + Math.max(0, minutes), 0)
}

function parseRule(rule: string): { among: number[]; hours: OpenMinutes[] } {
  if (rule === '24/7') return { among: allDays(), hours: [{ from: 0, to: dayMinutes }] }
  const [, dayText, hourText = ''] = /^(?:([A-Z][A-Za-z, -]*?) +)?(off|closed|[0-9].*)$/.exec(rule) ?? []
  const among =
    dayText === undefined ? allDays() : dayText.split(',').flatMap((part) => parseDays(part.trim(), rule))
  if (hourText === 'off' || hourText === 'closed') return { among, hours: [] }
  return { among, hours: hourText.split(',').map((part) => parseHours(part.trim(), rule)) }
}

function parseDays(text: string, rule: string): number[] {
  const [first = -1, last = first, ...rest] = text.split('-').map((name) => days.indexOf(name.trim()))
  if (first < 0 || last < 0 || rest.length > 0) throw notUnderstood(rule)
  const count = ((last - first + days.length) % days.length) + 1
  return Array.from({ length: count }, (_, i) => (first + i) % days.length)
}

function parseHours(text: string, rule: string): OpenMinutes {
  const [, fromHour, fromMinute, toHour, toMinute] =
    /^([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})$/.exec(text) ?? []
  const from = minutesOf(fromHour, fromMinute)
  const to = minutesOf(toHour, toMinute)
  if (Number.isNaN(from) || Number.isNaN(to) || from === dayMinutes) throw notUnderstood(rule)
  return { from, to: to > from ? to : to + dayMinutes }
}

function minutesOf(hour: string | undefined, minute: string | undefined): number {
  const minutes = Number(hour) * 60 + Number(minute)
  return minutes <= dayMinutes && Number(minute) < 60 ? minutes : Number.NaN
}

function withinWeek({ from, to }: OpenMinutes): OpenMinutes[] {
  if (to <= weekMinutes) return [{ from, to }]
  return [
    { from, to: weekMinutes },
    { from: 0, to: to - weekMinutes },
  ]
}

function joined(stretches: readonly OpenMinutes[]): OpenMinutes[] {
  const found: { from: number; to: number }[] = []
  for (const { from, to } of stretches.toSorted((a, b) => a.from - b.from)) {
    const last = found.at(-1)
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else found.push({ from, to })
  }
  return found
}

function allDays(): number[] {
  return days.map((_, day) => day)
}

function notUnderstood(rule: string): RangeError {
  return new RangeError(
    `"${rule}" is not understood; such as "Mo-Fr 06:00-22:00; Sa 08:00-20:00; Su off" or "24/7"`,
  )
}
