/**
 * The demonstration fleet: plan it, register it, hand it to one agent process. Everything it needs lies in `demo/`
 * of the data folder: credentials by device, outboxes by play, so that another file or other options begin afresh
 * and the same go on where they stopped.
 */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { slugOf } from '../core/contract/device.ts'
import type { FleetFile, FleetProgress, ReplayColumns } from '../core/contract/fleet.ts'
import { openAccess } from './access.ts'
import { readRecording } from './car-parks.ts'
import { type FleetPlan, replayPlan, simulatedPlan } from './fleet-plan.ts'
import { type Hold, hold } from './hold.ts'
import type { Home } from './home.ts'
import { type Registered, registerFleet } from './registration.ts'
import { type Supervised, supervise } from './supervisor.ts'

/** How a recorded file is played. */
export interface PlayOptions {
  readonly columns: Required<ReplayColumns>
  readonly tz: string
  readonly shiftToNow: boolean
  readonly speed?: number
}

export interface FleetOptions {
  /** Absent: simulated. */
  readonly replay?: { readonly file: string } & PlayOptions
  readonly server?: string
  readonly credential?: string
}

export interface PreparedFleet {
  readonly plan: FleetPlan
  readonly registered: Registered
  readonly fleetFile: string
  /** The programs it talks to are those of this machine's settings. */
  readonly isLocal: boolean
  /** Of the outboxes. */
  readonly hold: Hold
}

export async function prepareFleet(home: Home, options: FleetOptions): Promise<PreparedFleet> {
  const plan = options.replay === undefined ? simulatedPlan() : await planOf(options.replay)
  const demoDir = resolve(home.config.dataDir, 'demo')
  const folder = join(demoDir, plan.name)
  const held = await hold(join(folder, 'fleet.pid'), `the fleet ${plan.name}`)
  try {
    const credentialsDir = join(demoDir, 'devices')
    const api = openAccess(home.config, home.places, options).api('provisioning')
    const registered = await registerFleet(api, plan, credentialsDir)
    const fleet: FleetFile = {
      v: 1,
      devices: plan.devices.map(({ deviceId, sensor }) => ({
        deviceId,
        credentialFile: relative(folder, join(credentialsDir, `${deviceId}.json`)),
        outboxDir: join('outbox', deviceId),
        sensor,
      })),
    }
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const fleetFile = join(folder, 'fleet.json')
    await writeFile(fleetFile, `${JSON.stringify(fleet, undefined, 2)}\n`)
    const isLocal = options.server === undefined && home.config.provisioningUrl === undefined
    return { plan, registered, fleetFile, isLocal, hold: held }
  } catch (error) {
    held.release()
    throw error
  }
}

/** The same file played in another way, or changed, is another play. */
async function planOf({
  file,
  columns: wanted,
  ...play
}: { file: string } & PlayOptions): Promise<FleetPlan> {
  const { carParks, columns, contentHash } = await readRecording(file, wanted)
  const { speed, ...identity } = play
  const hash = createHash('sha256')
    .update(JSON.stringify({ contentHash, columns, ...identity }))
    .digest('hex')
  const stem = slugOf(basename(file).replace(/\.[^.]*$/, '')) ?? 'replay'
  return replayPlan(`${stem.slice(0, 40)}-${hash.slice(0, 8)}`, carParks, {
    file: resolve(file),
    columns,
    ...identity,
    ...(speed === undefined ? {} : { speed }),
  })
}

/** One agent process for the whole fleet. */
export function runFleet(
  home: Home,
  fleet: PreparedFleet,
  options: {
    restarts: boolean
    line: (line: string) => void
    progress: (progress: FleetProgress) => void
    crashed: (how: string, waitMs: number) => void
  },
): Supervised {
  const { source, places, programsDir } = home
  // A credential file says where things were when it was issued; on this machine the settings know it now.
  const where = {
    LOT_AGENT_BROKER_URL: places.brokerUrl,
    LOT_AGENT_TOKEN_ENDPOINT: `${places.issuerUrl}/oauth/token`,
  }
  return supervise(
    {
      name: 'fleet',
      file: join(programsDir, 'agent.mjs'),
      args: ['fleet', fleet.fleetFile],
      env: fleet.isLocal ? { ...where, ...source.env } : source.env,
      restarts: options.restarts,
    },
    {
      started: fleet.hold.started,
      line: options.line,
      crashed: options.crashed,
      message: (message) => {
        const progress = (message as { progress?: FleetProgress } | null)?.progress // our own program speaks
        if (progress !== undefined) options.progress(progress)
      },
    },
  )
}
