/**
 * The port to the outside: what a city publishes of its lots now, in a format that others read. A format is a file beside
 * this one; it gets what is known of each lot and says it in its own words. Nothing is asked of the store here.
 */

/** A lot now. What nobody measured or nobody knows is undefined, never zero. */
export interface PublishedLot {
  readonly lotId: string
  readonly name: string
  readonly latitude: number | undefined
  readonly longitude: number | undefined
  readonly capacity: number | undefined
  /** By its opening hours; without any it always is. */
  readonly isOpen: boolean
  /** Undefined unless every device of the lot has spoken lately. */
  readonly occupied: number | undefined
  readonly free: number | undefined
  /** Instant of the oldest of the readings that make up the value, Unix milliseconds. */
  readonly countedAtMs: number | undefined
}

export interface Published {
  readonly lots: readonly PublishedLot[]
  readonly nowMs: number
}

export interface Feed {
  /** In the address. */
  readonly name: string
  readonly mediaType: string
  /** What it offers, for formats that have a page of contents. */
  contents(): string
  /** The lots themselves. */
  write(published: Published): string
}
