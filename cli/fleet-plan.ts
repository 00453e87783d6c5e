/** Which lots and devices a demonstration has: made up, or the car parks of a recorded file. Pure. */
import { slugOf } from '../core/contract/device.ts'
import { FleetError } from '../core/contract/errors.ts'
import type { FleetDevice, ReplaySensor } from '../core/contract/fleet.ts'
import type { LotRequest } from '../core/contract/registry.ts'

export interface PlannedDevice {
  readonly deviceId: string
  readonly lotId: string
  readonly name: string
  readonly sensor: FleetDevice['sensor']
}

export interface FleetPlan {
  /** Names the folder of its outboxes: another play is another folder. */
  readonly name: string
  readonly lots: readonly { readonly lotId: string; readonly request: LotRequest }[]
  readonly devices: readonly PlannedDevice[]
}

/** A car park as a recorded file knows it. */
export interface CarPark {
  readonly name: string
  /** The last one in the file; readings carry their own. */
  readonly capacity: number | undefined
}

const seed = 1
const demoZone = 'Europe/Athens'
const demoLots = [
  ['Syntagma Square', 220, 37.9755, 23.7348],
  ['Monastiraki Market', 140, 37.9762, 23.7257],
  ['Kolonaki Garage', 180, 37.9779, 23.743],
  ['Pangrati Court', 95, 37.968, 23.7497],
  ['Exarchia Yard', 60, 37.9862, 23.7336],
  ['Omonia Central', 320, 37.9841, 23.728],
  ['Piraeus Ferries', 580, 37.947, 23.634],
  ['Kifissia Station', 260, 38.074, 23.8083],
  ['Marousi Park and Ride', 640, 38.056, 23.808],
  ['Faliro Marina', 410, 37.937, 23.67],
  ['Olympic Stadium', 900, 38.0363, 23.7876],
  ['Airport Long Stay', 1250, 37.9364, 23.9445],
] as const satisfies readonly (readonly [string, number, number, number])[]

/** Twelve lots in Athens with the past week behind them, then a reading each ten seconds. */
export function simulatedPlan(): FleetPlan {
  const parks = demoLots.map(([name, capacity, latitude, longitude]) => ({
    id: idOf(name),
    request: { name, latitude, longitude, zone: demoZone, capacities: [{ fromMs: 0, capacity }] },
    capacity,
  }))
  return {
    name: 'simulated',
    lots: parks.map(({ id, request }) => ({ lotId: id, request })),
    devices: parks.map(({ id, request, capacity }) => ({
      deviceId: id,
      lotId: id,
      name: request.name,
      sensor: {
        type: 'simulated',
        seed,
        capacity,
        tz: demoZone,
        historyDays: 7,
        historyEverySec: 300,
        schedule: '*/10 * * * * *',
      },
    })),
  }
}

/**
 * One lot and one device per car park; names are kept, their slugs are the identifiers.
 * @throws FleetError `request.conflict` when two names have one slug, `file.invalid` when a name has none
 */
export function replayPlan(
  name: string,
  carParks: readonly CarPark[],
  sensor: Omit<ReplaySensor, 'type' | 'key'>,
): FleetPlan {
  const names = new Map<string, string>()
  for (const park of carParks) {
    const id = idOf(park.name)
    const other = names.get(id)
    if (other !== undefined)
      throw new FleetError('request.conflict', `"${other}" and "${park.name}" would both be ${id}`)
    names.set(id, park.name)
  }
  return {
    name,
    lots: carParks.map((park) => ({
      lotId: idOf(park.name),
      request: {
        name: park.name,
        zone: sensor.tz,
        capacities: park.capacity === undefined ? [] : [{ fromMs: 0, capacity: park.capacity }],
      },
    })),
    devices: carParks.map((park) => ({
      deviceId: idOf(park.name),
      lotId: idOf(park.name),
      name: park.name,
      sensor: { type: 'replay', key: park.name, ...sensor },
    })),
  }
}

function idOf(name: string): string {
  const id = slugOf(name)
  if (id === undefined) throw new FleetError('file.invalid', `"${name}" leaves no identifier`)
  return id
}
