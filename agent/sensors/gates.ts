/**
 * Cars counted at gates: edges of lines become entries and exits. A gate has a beam or loop for each way, or two in a row
 * in one lane, whose order tells the way. Where the edges come from is the adapter's part.
 */

export interface Edge {
  readonly line: number
  /** A car is in the beam or over the loop from here on; false: it is not any more. */
  readonly isActive: boolean
  /** Of a clock that only grows. */
  readonly atMs: number
}

/** Which lines say what. */
export type GateLines =
  | { readonly entry?: number; readonly exit?: number }
  /** Seen from the street: a car that comes in passes the outer one first. */
  | { readonly outer: number; readonly inner: number }

export interface GateCounts {
  readonly entries: number
  readonly exits: number
}

export interface Gate {
  /** @returns what it was, when a car has passed with this edge */
  edge(edge: Edge): 'entry' | 'exit' | undefined
  readonly counts: GateCounts
  /** Since when a car has been in one of its beams or over one of its loops; undefined: there is none. */
  readonly activeSinceMs: number | undefined
  /** Nobody knows any more what the lines are like: their counter has stopped meanwhile. */
  forget(): void
}

/** @param debounceMs an edge that comes sooner after the one before it of the same line is the same event, bouncing */
export function createGate(lines: GateLines, debounceMs: number): Gate {
  const active = new Map<number, number>()
  const lastMs = new Map<number, number>()
  const isLane = 'outer' in lines
  let counts: GateCounts = { entries: 0, exits: 0 }
  /** Of a car in the lane: which line it came to first, and whether it has been on both at once. */
  let passing: { first: number; wasOnBoth: boolean } | undefined

  function count(way: 'entry' | 'exit'): 'entry' | 'exit' {
    const { entries, exits } = counts
    counts = way === 'entry' ? { entries: entries + 1, exits } : { entries, exits: exits + 1 }
    return way
  }

  /** A car has passed when it has been on both lines and leaves by the other one; one that goes back has not. */
  function laneEdge({ line, isActive }: Edge): 'entry' | 'exit' | undefined {
    if (isActive) {
      passing = passing === undefined ? { first: line, wasOnBoth: false } : { ...passing, wasOnBoth: true }
      return undefined
    }
    if (active.size > 0 || passing === undefined) return undefined
    const { first, wasOnBoth } = passing
    passing = undefined
    if (!wasOnBoth || first === line || !isLane) return undefined
    return count(first === lines.outer ? 'entry' : 'exit')
  }

  return {
    edge(edge) {
      const { line, isActive, atMs } = edge
      const beforeMs = lastMs.get(line)
      if (beforeMs !== undefined && atMs - beforeMs < debounceMs) return undefined
      if (active.has(line) === isActive) return undefined
      lastMs.set(line, atMs)
      if (isActive) active.set(line, atMs)
      else active.delete(line)
      if (isLane) return laneEdge(edge)
      if (!isActive) return undefined
      return count(line === lines.entry ? 'entry' : 'exit')
    },
    get counts() {
      return counts
    },
    get activeSinceMs() {
      return active.size === 0 ? undefined : Math.min(...active.values())
    },
    forget() {
      active.clear()
      passing = undefined
    },
  }
}

/** What is known of a lot whose gates are counted: how many were there at a moment, and who came and went since. */
export interface Tally {
  /** Spaces taken, less entries, plus exits; undefined: nobody has said. */
  readonly base: number | undefined
  readonly entries: number
  readonly exits: number
}

/**
 * How many are there. Fewer than none cannot be: a count was missed, and from there on it is counted from none.
 * @returns how many had to be added for that, 0 mostly
 */
export function occupiedOf(tally: Tally): { occupied: number | null; tally: Tally; added: number } {
  const { base, entries, exits } = tally
  if (base === undefined) return { occupied: null, tally, added: 0 }
  const occupied = base + entries - exits
  if (occupied >= 0) return { occupied, tally, added: 0 }
  return { occupied: 0, tally: { ...tally, base: base - occupied }, added: -occupied }
}

/** Somebody looked: so many are there now. */
export function withCount(tally: Tally, occupied: number): Tally {
  return { ...tally, base: occupied - tally.entries + tally.exits }
}
