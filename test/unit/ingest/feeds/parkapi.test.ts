import { describe, expect, test } from 'vitest'
import type { PublishedLot } from '../../../../ingest/feeds/feed.ts'
import { createParkApiFeed } from '../../../../ingest/feeds/parkapi.ts'

const feed = createParkApiFeed({
  cityId: 'dresden',
  cityName: 'Dresden',
  source: 'https://example.org',
  version: '0.1.0',
})
const nowMs = Date.UTC(2026, 5, 15, 12, 31, 25)

function lot(more: Partial<PublishedLot>): PublishedLot {
  return {
    lotId: 'altmarkt',
    name: 'Altmarkt',
    latitude: 51.05031,
    longitude: 13.73754,
    capacity: 400,
    isOpen: true,
    occupied: 165,
    free: 235,
    countedAtMs: nowMs - 25_000,
    ...more,
  }
}

const write = (...lots: PublishedLot[]) => JSON.parse(feed.write({ lots, nowMs })) as Record<string, unknown>

describe('ParkAPI', () => {
  test('says a lot as its documentation has it, with times in UTC without an offset', () => {
    expect(write(lot({}))).toEqual({
      last_updated: '2026-06-15T12:31:00',
      last_downloaded: '2026-06-15T12:31:25',
      data_source: 'https://example.org',
      lots: [
        {
          coords: { lat: 51.05031, lng: 13.73754 },
          name: 'Altmarkt',
          total: 400,
          free: 235,
          state: 'open',
          id: 'altmarkt',
          forecast: false,
        },
      ],
    })
  })

  test('leaves out free, and never says zero, where there is no live count', () => {
    const { lots } = write(lot({ occupied: undefined, free: undefined })) as { lots: object[] }

    expect(lots).toEqual([expect.objectContaining({ state: 'nodata', total: 400 })])
    expect(lots[0]).not.toHaveProperty('free')
  })

  test('says that a lot is closed, and what is free in it all the same', () => {
    expect((write(lot({ isOpen: false })) as { lots: object[] }).lots).toEqual([
      expect.objectContaining({ state: 'closed', free: 235 }),
    ])
  })

  test('says zero where it is full', () => {
    expect((write(lot({ free: 0, occupied: 400 })) as { lots: object[] }).lots).toEqual([
      expect.objectContaining({ state: 'open', free: 0 }),
    ])
  })

  test('leaves out a lot whose spaces nobody knows, and coordinates that nobody knows', () => {
    const found = write(
      lot({ capacity: undefined, free: undefined }),
      lot({ lotId: 'b', latitude: undefined }),
    )

    expect((found as { lots: object[] }).lots).toEqual([expect.objectContaining({ id: 'b', coords: null })])
  })

  test('has no time of an update when nothing was ever counted', () => {
    expect(write(lot({ countedAtMs: undefined, free: undefined })).last_updated).toBeNull()
    expect(write().lots).toEqual([])
  })

  test('names its city and the version of its format', () => {
    expect(JSON.parse(feed.contents())).toEqual({
      api_version: '1.0',
      server_version: '0.1.0',
      reference: 'https://github.com/offenesdresden/ParkAPI',
      cities: { dresden: 'Dresden' },
    })
  })
})
