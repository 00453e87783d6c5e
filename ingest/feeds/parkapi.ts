/**
 * ParkAPI 1.0, the format of ParkenDD: `last_updated`, `last_downloaded`, `data_source` and `lots` of one city.
 * Times are UTC without an offset, as its README has it. `free` is left out where there is no live count, `state` is
 * `nodata` then, unless it is `closed` by its opening hours; a lot whose capacity nobody knows is left out, since `total` is required and zero would be a lie.
 */
import type { Feed, PublishedLot } from './feed.ts'

export interface ParkApiOptions {
  /** In the address of the city. */
  readonly cityId: string
  readonly cityName: string
  /** Where people read about it. */
  readonly source: string
  readonly version: string
}

export function createParkApiFeed({ cityId, cityName, source, version }: ParkApiOptions): Feed {
  return {
    name: 'parkapi',
    mediaType: 'application/json; charset=utf-8',
    contents: () =>
      JSON.stringify({
        api_version: '1.0',
        server_version: version,
        reference: 'https://github.com/offenesdresden/ParkAPI',
        cities: { [cityId]: cityName },
      }),
    write: ({ lots, nowMs }) => {
      const countedMs = Math.max(...lots.map(({ countedAtMs }) => countedAtMs ?? Number.NEGATIVE_INFINITY))
      return JSON.stringify({
        last_updated: Number.isFinite(countedMs) ? timeOf(countedMs) : null,
        last_downloaded: timeOf(nowMs),
        data_source: source,
        lots: lots.flatMap((lot) => (lot.capacity === undefined ? [] : [lotOf(lot, lot.capacity)])),
      })
    },
  }
}

function lotOf({ lotId, name, latitude, longitude, free, isOpen }: PublishedLot, total: number): object {
  return {
    id: lotId,
    name,
    total,
    ...(free === undefined ? {} : { free }),
    state: isOpen ? (free === undefined ? 'nodata' : 'open') : 'closed',
    coords: latitude === undefined || longitude === undefined ? null : { lat: latitude, lng: longitude },
    forecast: false,
  }
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19)
}
