/** A recording of car parks, a fleet of agents that plays it, and what the store holds of it afterwards. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FleetFile, FleetProgress } from '../../core/contract/fleet.ts'
import { eventually, type Program, startProgram } from './program.ts'
import type { System } from './system.ts'

const carParksUsual = 12
const stepMs = 5 * 60_000
const rowsPerSecUsual = 1500

export interface Recording {
  readonly file: string
  readonly rows: number
  /** As many devices play it. */
  readonly carParks: number
  /** What has to be in the store: device and instant → count. */
  readonly expected: ReadonlyMap<string, number>
  readonly speed: number
  /** How long it plays when nothing interrupts it. */
  readonly lastsMs: number
}

export function record(
  folder: string,
  lastsMs: number,
  carParks = carParksUsual,
  rowsPerSec = rowsPerSecUsual,
): Recording {
  const rowsEach = Math.ceil((rowsPerSec * lastsMs) / 1000 / carParks)
  const startMs = Date.UTC(2020, 0, 1)
  const lines = ['SystemCodeNumber,Capacity,Occupancy,LastUpdated']
  const expected = new Map<string, number>()
  for (let row = 0; row < rowsEach; row++) {
    const timestampMs = startMs + row * stepMs
    for (let park = 0; park < carParks; park++) {
      const occupied = (row * 7 + park * 31) % 500
      lines.push(
        `park-${park},500,${occupied},${new Date(timestampMs).toISOString().slice(0, 19).replace('T', ' ')}`,
      )
      expected.set(`park-${park} ${timestampMs}`, occupied)
    }
  }
  const file = join(folder, 'recording.csv')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return { file, rows: expected.size, carParks, expected, speed: (rowsEach * stepMs) / lastsMs, lastsMs }
}

export interface FleetOptions {
  readonly nodeOptions?: readonly string[]
  /** Over what the fleet's settings are for tests. */
  readonly env?: Readonly<Record<string, string>>
}

/** Each outbox is opened and checked first, and there may be fifty. */
const startMs = 60_000

/** A fleet process that comes back after each kill, and what it last said. */
export class Fleet {
  program: Program | undefined
  progress: FleetProgress | undefined
  readonly #file: string
  readonly #options: FleetOptions
  #reports = 0

  constructor(file: string, options: FleetOptions) {
    this.#file = file
    this.#options = options
  }

  async start(): Promise<void> {
    this.program = await startProgram('agent', {
      args: ['fleet', this.#file],
      nodeOptions: this.#options.nodeOptions ?? [],
      startMs,
      env: {
        LOT_AGENT_RECONNECT_MIN_MS: '50',
        LOT_AGENT_RECONNECT_MAX_MS: '400',
        LOT_AGENT_ACK_TIMEOUT_MS: '4000',
        LOT_AGENT_LOG_LEVEL: 'warn',
        ...this.#options.env,
      },
    })
    this.program.process.on('message', (message: { progress?: FleetProgress }) => {
      if (message.progress === undefined) return
      this.progress = message.progress
      this.#reports++
    })
  }

  /** Kills it; it comes back and plays the rest as fast as it can. */
  async hurry(): Promise<void> {
    await this.program?.kill()
    const { devices, ...file } = JSON.parse(readFileSync(this.#file, 'utf8')) as FleetFile // written below
    const atOnce = devices.map((device) => ({ ...device, sensor: { ...device.sensor, speed: undefined } }))
    writeFileSync(this.#file, JSON.stringify({ ...file, devices: atOnce }))
    await this.start()
  }

  /** Resolves when readings have been acknowledged after this moment, by what the fleet says of itself. */
  async acknowledgedMore(): Promise<void> {
    // What the next report says may be from before; what comes on top of it is not.
    const reports = this.#reports
    await eventually(() => this.#reports > reports)
    const settled = this.progress?.settled ?? 0
    await eventually(() => (this.progress?.settled ?? 0) > settled)
  }
}

export async function startFleet(system: System, recording: Recording): Promise<Fleet> {
  const fleet = await prepareFleet(system, recording)
  await fleet.start()
  return fleet
}

/** Registered, and not started yet. */
export async function prepareFleet(
  system: System,
  recording: Recording,
  options: FleetOptions = {},
): Promise<Fleet> {
  const devices: FleetFile['devices'] = []
  for (let park = 0; park < recording.carParks; park++) {
    const deviceId = `park-${park}`
    const { file } = await system.register(deviceId)
    devices.push({
      deviceId,
      credentialFile: file,
      outboxDir: join(system.data, 'outboxes', deviceId),
      sensor: {
        type: 'replay',
        file: recording.file,
        key: deviceId,
        columns: {
          key: 'SystemCodeNumber',
          capacity: 'Capacity',
          occupied: 'Occupancy',
          time: 'LastUpdated',
        },
        tz: 'UTC',
        shiftToNow: false,
        speed: recording.speed,
      },
    })
  }
  const file = join(system.data, 'fleet.json')
  writeFileSync(file, JSON.stringify({ v: 1, devices } satisfies FleetFile))
  return new Fleet(file, options)
}

/** What is amiss once every row is played and every outbox empty. */
export async function outcome(system: System, fleet: Fleet, recording: Recording) {
  // Nothing is waited for that an honest system does not reach: every row played, every outbox empty. Kills that went
  // quickly leave most of the recording still to be played.
  const deadlineMs = recording.lastsMs + 60_000 + recording.rows / 10
  await eventually(() => fleet.progress?.finished === true, deadlineMs, 200)
  const { rows, complete } = await system.stored()
  const seen = new Map<string, number>()
  const twice: string[] = []
  for (const row of rows) {
    const key = `${row.deviceId} ${Date.parse(row.time)}`
    if (seen.has(key)) twice.push(key)
    seen.set(key, row.occupied ?? Number.NaN)
  }
  const lost = [...recording.expected.keys()].filter((key) => !seen.has(key))
  const wrong = [...seen].filter(([key, occupied]) => recording.expected.get(key) !== occupied)
  const quarantine = await system.queries.json<{ rows: unknown[] }>('/v1/quarantine')
  return { lost, twice, wrong, complete, quarantined: quarantine.rows.length }
}

/** The outcome when nothing is. */
export const nothingAmiss = { lost: [], twice: [], wrong: [], complete: true, quarantined: 0 }
