/** Time zones by their IANA names: which there are. Pure; what their clocks show is for the programs that need it. */

/** @returns false for what is no zone, and for a bare offset such as `+02:00`, which knows no daylight saving */
export function isZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
