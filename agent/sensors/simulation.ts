/**
 * A parking lot made up from a seed: how full it is at any instant, as a pure function of that instant.
 * Cars come and go in waves. Weekdays have one around breakfast, one of people at work, one around noon and a small one
 * in the evening; Saturdays are for shopping; Sundays are quiet. Every car is gone by the end of its day, at four in the
 * morning. Totals count since 2000 and agree with the occupancy at every instant: in minus out is what is there.
 */

export interface SimulatedLot {
  /** 32 bits; the same seed makes the same lot. */
  readonly seed: number
  readonly capacity: number
  /** Local time minus UTC, in milliseconds, at an instant. */
  readonly offsetMs: (timestampMs: number) => number
}

export interface SimulatedCount {
  readonly occupied: number
  readonly entriesTotal: number
  readonly exitsTotal: number
}

interface Wave {
  /** Cars, as a part of the capacity. */
  readonly share: number
  readonly inAtHour: number
  readonly outAtHour: number
  /** Spread around both; the same for both, so that at no time more have left than came. */
  readonly spreadHours: number
}

const workday: readonly Wave[] = [
  { share: 0.25, inAtHour: 8.2, outAtHour: 10.3, spreadHours: 0.5 },
  { share: 0.6, inAtHour: 8.7, outAtHour: 17.3, spreadHours: 0.7 },
  { share: 0.35, inAtHour: 12, outAtHour: 14.2, spreadHours: 0.7 },
  { share: 0.12, inAtHour: 18.5, outAtHour: 21.5, spreadHours: 0.6 },
]
const saturday: readonly Wave[] = [
  { share: 0.3, inAtHour: 10.5, outAtHour: 13, spreadHours: 0.8 },
  { share: 0.4, inAtHour: 13.5, outAtHour: 16.5, spreadHours: 1 },
  { share: 0.25, inAtHour: 18.5, outAtHour: 22.5, spreadHours: 0.7 },
]
const sunday: readonly Wave[] = [{ share: 0.25, inAtHour: 12.5, outAtHour: 16, spreadHours: 1.2 }]

const hourMs = 3600_000
const dayMs = 24 * hourMs
/** 2000-01-01 was a Saturday; days begin when the lot is empty. */
const originMs = 946_684_800_000
const dayStartHour = 4
const firstWeekday = 6
/** How far and how quickly a car may be early or late; kept below what would turn a wave back. */
const jitterHours = 0.12
const jitterEveryMs = 30 * 60_000

/** @returns the lot at an instant, Unix milliseconds from 2000 on; it remembers only sums it could make again */
export function createSimulation(lot: SimulatedLot): (timestampMs: number) => SimulatedCount {
  /** Cars of all days before the one of the index. */
  const carsBefore = [0]

  function carsBeforeDay(day: number): number {
    for (let d = carsBefore.length - 1; d < day; d++)
      carsBefore.push((carsBefore[d] as number) + carsOf(d, 24, 'in')) // filled in order
    return carsBefore[day] as number
  }

  /** Cars of a day that have come, or gone, at an hour of it. */
  function carsOf(day: number, hour: number, way: 'in' | 'out'): number {
    let cars = 0
    const busy = 0.85 + 0.25 * chance(lot.seed, day)
    for (const wave of wavesOf((day + firstWeekday) % 7)) {
      const atHour = (way === 'in' ? wave.inAtHour : wave.outAtHour) - dayStartHour
      cars += lot.capacity * wave.share * busy * partBelow((hour - atHour) / wave.spreadHours)
    }
    return Math.round(cars)
  }

  return (timestampMs) => {
    const sinceMs = Math.max(0, timestampMs + lot.offsetMs(timestampMs) - originMs - dayStartHour * hourMs)
    const day = Math.floor(sinceMs / dayMs)
    const hour = (sinceMs - day * dayMs) / hourMs
    const before = carsBeforeDay(day)
    const come = carsOf(day, hour + jitterHours * wobble(lot.seed ^ 0x51, sinceMs), 'in')
    const gone = carsOf(day, hour + jitterHours * wobble(lot.seed ^ 0xa7, sinceMs), 'out')
    // Nobody leaves who has not come, and nobody comes in when it is full: both keep totals that only grow.
    const out = Math.min(gone, come)
    const occupied = Math.min(come - out, lot.capacity)
    return { occupied, entriesTotal: before + out + occupied, exitsTotal: before + out }
  }
}

function wavesOf(weekday: number): readonly Wave[] {
  if (weekday === 6) return saturday
  return weekday === 0 ? sunday : workday
}

/** The part of a wave that is over: a logistic curve, exactly 0 and 1 far out, so that days begin and end empty. */
function partBelow(x: number): number {
  if (x < -6) return 0
  if (x > 6) return 1
  return 1 / (1 + Math.exp(-1.7 * x))
}

/** Smooth noise in [-1, 1], 0 at the turn of the day, whose slope stays below what would turn time back. */
function wobble(seed: number, sinceMs: number): number {
  const step = Math.floor(sinceMs / jitterEveryMs)
  const x = sinceMs / jitterEveryMs - step
  const from = nodeOf(seed, step)
  return from + (nodeOf(seed, step + 1) - from) * x
}

function nodeOf(seed: number, step: number): number {
  return step % (dayMs / jitterEveryMs) === 0 ? 0 : 2 * chance(seed, step) - 1
}

/** Uniform in [0, 1), always the same for the same two numbers (the finaliser of MurmurHash3). */
function chance(seed: number, index: number): number {
  let h = (seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
}
