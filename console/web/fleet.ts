/** The devices: what the registry has of each, and what ingest and brokers know of how it is. */
import type { Answer, DeviceRow } from '../../core/contract/query.ts'
import type { Device } from '../../core/contract/registry.ts'
import type { Api } from './api.ts'
import { Problem } from './api.ts'
import { dash, parseTime, span, type Tone } from './words.ts'

export interface Connection {
  readonly deviceId: string
  readonly remoteAddress: string
  readonly connectedAtMs: number
  readonly tokenExpiresAtMs: number
  readonly credentialId?: string
}

/** One honest word for how a device is. */
export type Word =
  | 'online'
  | 'connected'
  | 'late'
  | 'silent sensor'
  | 'offline'
  | 'never seen'
  | 'not connected'
  | 'suspended'
  | 'retired'

export const toneOfWord: Readonly<Record<Word, Tone>> = {
  online: 'good',
  connected: 'good',
  late: 'warn',
  'silent sensor': 'warn',
  offline: 'bad',
  'not connected': 'bad',
  'never seen': 'idle',
  suspended: 'idle',
  retired: 'idle',
}

export interface FleetRow {
  readonly device: Device
  readonly word: Word
  /** As ingest knows it; undefined where it does not, or does not answer. */
  readonly seen: DeviceRow | undefined
  readonly connection: Connection | undefined
  readonly lastSeenMs: number | null
}

const pageRows = 1000

export async function askFleet(api: Api, signal: AbortSignal): Promise<readonly FleetRow[]> {
  const [devices, connections, seen] = await Promise.all([
    allDevices(api, signal),
    askConnections(api, signal),
    askSeen(api, signal),
  ])
  return devices.map((device) =>
    fleetRow(device, connections.get(device.deviceId), seen?.get(device.deviceId), seen !== undefined),
  )
}

/** Pure. @param isSeenKnown whether ingest has said how devices are at all */
export function fleetRow(
  device: Device,
  connection: Connection | undefined,
  seen: DeviceRow | undefined,
  isSeenKnown: boolean,
): FleetRow {
  const lastSeenMs = parseTime(seen?.lastSeen) ?? connection?.connectedAtMs ?? null
  return { device, connection, seen, lastSeenMs, word: wordOf(device, connection, seen, isSeenKnown) }
}

function wordOf(
  { state }: Device,
  connection: Connection | undefined,
  seen: DeviceRow | undefined,
  isSeenKnown: boolean,
): Word {
  if (state === 'suspended' || state === 'retired') return state
  if (seen !== undefined) return wordsOfConditions[seen.state]
  if (connection !== undefined) return isSeenKnown ? 'online' : 'connected'
  // It never had a token: nobody can have seen it.
  return state === 'active' && !isSeenKnown ? 'not connected' : 'never seen'
}

const wordsOfConditions: Readonly<Record<DeviceRow['state'], Word>> = {
  online: 'online',
  late: 'late',
  silent_sensor: 'silent sensor',
  offline: 'offline',
  never_seen: 'never seen',
  suspended: 'suspended',
  retired: 'retired',
}

async function allDevices(api: Api, signal: AbortSignal): Promise<Device[]> {
  const devices: Device[] = []
  let cursor: string | undefined
  do {
    const page = await api.get<{ devices: Device[]; nextCursor?: string }>('/api/provisioning/v1/devices', {
      query: { limit: pageRows, cursor },
      signal,
    })
    devices.push(...page.devices)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return devices
}

/** Those of the broker that is asked; undefined members where it is away: the page goes on without. */
export async function askConnections(
  api: Api,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Connection>> {
  const { connections } = await orElse(
    api.get<{ connections: Connection[] }>('/api/broker/v1/connections', {
      query: { limit: 10_000 },
      signal,
    }),
    { connections: [] },
  )
  return new Map(connections.map((connection) => [connection.deviceId, connection]))
}

async function askSeen(api: Api, signal: AbortSignal): Promise<ReadonlyMap<string, DeviceRow> | undefined> {
  const answer = await orElse(
    api.find<Answer<DeviceRow>>('/api/ingest/v1/devices', { query: { limit: 10_000 }, signal }),
    undefined,
  )
  return answer === undefined ? undefined : new Map(answer.rows.map((row) => [row.deviceId, row]))
}

/** What a page can do without: a program that is away leaves its columns empty. */
async function orElse<T, Other>(asked: Promise<T>, otherwise: Other): Promise<T | Other> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof Problem) return otherwise
    throw error
  }
}

/** How far a clock is off, in words. Pure. */
export function clockWords(state: string | null | undefined, offsetMs: number | null | undefined): string {
  if (state === null || state === undefined) return dash
  if (state !== 'synced') return 'not set'
  if (offsetMs === null || offsetMs === undefined || Math.abs(offsetMs) < 1000) return 'right'
  return `${span(Math.abs(offsetMs) / 1000)} ${offsetMs > 0 ? 'fast' : 'slow'}`
}
