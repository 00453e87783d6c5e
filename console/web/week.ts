/** Hours of a week. Pure. */

/** Of a time with its offset, such as `2026-11-22T05:00:00+02:00`: 0 is Monday, midnight to one. */
export function hourOfWeek(time: string): number {
  const weekday = (new Date(`${time.slice(0, 10)}T00:00:00Z`).getUTCDay() + 6) % 7
  return weekday * 24 + Number(time.slice(11, 13))
}
