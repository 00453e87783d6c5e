/**
 * Registers the lots and devices of a plan with provisioning, for real: what is there stays as it is, and a device
 * whose credential file is lost gets another credential. Doing it again changes nothing.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { IssuedCredential } from '../core/contract/client.ts'
import type { CredentialFile } from '../core/contract/credential.ts'
import { timestampMsMin } from '../core/contract/reading.ts'
import type { Device, DeviceRequest, Lot } from '../core/contract/registry.ts'
import type { Api } from '../core/runtime/fetch.ts'
import type { FleetPlan, PlannedDevice } from './fleet-plan.ts'

export interface Registered {
  readonly lotsNew: number
  readonly devicesNew: number
  /** Devices known already whose credential file was not there. */
  readonly credentialsNew: number
}

/** @param credentialsDir receives `<deviceId>.json`, mode 0600 */
export async function registerFleet(api: Api, plan: FleetPlan, credentialsDir: string): Promise<Registered> {
  await mkdir(credentialsDir, { recursive: true, mode: 0o700 })
  const [lots, devices] = await Promise.all([
    pages<Lot>(api, '/v1/lots', 'lots'),
    pages<Device>(api, '/v1/devices', 'devices'),
  ])
  const lotsKnown = new Set(lots.map((lot) => lot.lotId))
  const devicesKnown = new Set(devices.map((device) => device.deviceId))
  const counted = { lotsNew: 0, devicesNew: 0, credentialsNew: 0 }
  for (const { lotId, request } of plan.lots) {
    if (lotsKnown.has(lotId)) continue
    await api.json(`/v1/lots/${lotId}`, { method: 'PUT', body: request })
    counted.lotsNew++
  }
  for (const device of plan.devices) {
    const path = join(credentialsDir, `${device.deviceId}.json`)
    const isKnown = devicesKnown.has(device.deviceId)
    if (isKnown && existsSync(path)) continue
    const { credential } = isKnown ? await issueAnother(api, device) : await register(api, device)
    await writeCredential(path, credential)
    counted[isKnown ? 'credentialsNew' : 'devicesNew']++
  }
  return counted
}

/** Assigned from the earliest instant that is ever stored, so that no recorded row comes before it. */
function register(api: Api, device: PlannedDevice): Promise<IssuedCredential> {
  const { deviceId, name, lotId } = device
  const body: DeviceRequest = { deviceId, name, lotId, assignedFromMs: timestampMsMin }
  return api.json('/v1/devices', { method: 'POST', body })
}

function issueAnother(api: Api, device: PlannedDevice): Promise<IssuedCredential> {
  return api.json(`/v1/devices/${device.deviceId}/credentials`, { method: 'POST', body: {} })
}

async function pages<Item>(api: Api, path: string, member: string): Promise<Item[]> {
  const items: Item[] = []
  let cursor: string | undefined
  do {
    const page = await api.json<Record<string, unknown>>(path, { query: { cursor } })
    items.push(...((page[member] ?? []) as Item[])) // a list route of the contract
    cursor = page.nextCursor as string | undefined
  } while (cursor !== undefined)
  return items
}

/** Never readable by others, not for a moment, and never half written. */
async function writeCredential(path: string, credential: CredentialFile): Promise<void> {
  const draft = `${path}.new`
  await writeFile(draft, `${JSON.stringify(credential, undefined, 2)}\n`, { mode: 0o600, flush: true })
  await chmod(draft, 0o600)
  await rename(draft, path)
}
