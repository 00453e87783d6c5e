/**
 * Devices: registered, described, assigned to lots, moved through their life. How they come by a credential of their own
 * is in enrolment.ts, what is sent to them in downlink.ts.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Client, CredentialRecord, IssuedCredential } from '../../core/contract/client.ts'
import type {
  Assignment,
  AssignmentRequest,
  Device,
  DevicePatch,
  DeviceRequest,
} from '../../core/contract/registry.ts'
import { type DeviceVerb, mayChange, nextState } from '../device.ts'
import { deviceGrants } from '../grants.ts'
import type { ClientDirectory } from '../issuer/issuer.ts'
import { assign, release } from '../lots.ts'
import type { AuditVerb, RegistryRepository, RegistryView } from '../repository/repository.ts'
import { type By, type Changes, conflict, invalid, notFound, requireMatch } from './changes.ts'
import type { Credentials } from './credentials.ts'
import { moveThere } from './hosted.ts'

/** What operators may do to a device's state; the rest comes about by itself. */
export type DeviceMove = Extract<DeviceVerb, 'suspend' | 'resume' | 'retire'>

export interface DeviceDetails extends Device {
  readonly credentials: readonly CredentialRecord[]
  readonly assignments: readonly Assignment[]
}

export interface Devices {
  /**
   * @returns the device's first credential, or the device when none was wanted
   * @throws FleetError `request.conflict` when the identifier is taken, `request.invalid` when there is no such lot
   */
  register(by: By, request: DeviceRequest): Promise<IssuedCredential | { readonly device: Device }>
  /** @throws FleetError `request.not_found` */
  show(deviceId: string): Promise<DeviceDetails>
  change(by: By, deviceId: string, patch: DevicePatch): Promise<Device>
  assign(by: By, deviceId: string, request: AssignmentRequest): Promise<Assignment>
  /** @throws FleetError `request.conflict` when the device's state does not allow it */
  move(by: By, deviceId: string, verb: DeviceMove): Promise<Device>
}

const auditVerbOf = {
  suspend: 'device.suspended',
  resume: 'device.resumed',
  retire: 'device.retired',
} as const satisfies Record<DeviceMove, AuditVerb>

/** A device as a client of the authorization server. */
export function deviceClient(deviceId: string, name: string): Client {
  return {
    oauthClientId: deviceId,
    name,
    kind: 'device',
    grantTypes: ['client_credentials'],
    authMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    grants: [...deviceGrants],
    metadata: {},
  }
}

export function createDevices(options: {
  repository: RegistryRepository
  changes: Changes
  credentials: Pick<Credentials, 'newCredentialFor'>
  directory: ClientDirectory | undefined
  /** Wall clock, Unix milliseconds. */
  now: () => number
}): Devices {
  const { repository, changes, credentials, directory, now } = options

  /** Decides on a device as it is, if the caller saw it so. */
  const withDevice = <Answer>(
    by: By,
    deviceId: string,
    decide: (view: RegistryView, device: Device) => ReturnType<Parameters<typeof changes.make<Answer>>[1]>,
  ): Promise<Answer> =>
    changes.make(by, async (view) => {
      const device = await requireDevice(view, deviceId)
      requireMatch(by, device)
      return decide(view, device)
    })

  return {
    async register(by, request) {
      const { deviceId, name = deviceId, lotId, tags = [] } = request
      const client = deviceClient(deviceId, name)
      const prepare = async () => {
        if ((await repository.findClient(deviceId)) !== undefined)
          throw conflict(`the identifier ${deviceId} is taken`)
        return request.credential === 'none' ? undefined : credentials.newCredentialFor(client, {})
      }
      return changes.makeWith(by, prepare, async (view, credential) => {
        if (lotId !== undefined) await requireLot(view, lotId)
        const registeredAtMs = now()
        const state = credential === undefined ? 'registered' : 'enrolled'
        const device: Device = { deviceId, name, state, registeredAtMs, tags: [...tags] }
        const fromMs = request.assignedFromMs ?? registeredAtMs
        const assignments = lotId === undefined ? [] : assign([], { deviceId, lotId, fromMs })
        const audit = {
          actor: by.actor,
          verb: 'device.registered',
          subject: deviceId,
          after: { device, assignments },
        } as const
        const newCredential =
          credential === undefined ? {} : { newCredential: { ...credential.stored, oauthClientId: deviceId } }
        return {
          changes: [
            { audit, newClient: credential?.client ?? client, device, assignments, ...newCredential },
          ],
          answer: credential === undefined ? { device } : { credential: credential.file },
        }
      })
    },

    async show(deviceId) {
      const device = await requireDevice(repository, deviceId)
      const [held, assignments] = await Promise.all([
        repository.credentialsOf(deviceId),
        repository.assignmentsOf(deviceId),
      ])
      return { ...device, credentials: held, assignments }
    },

    change(by, deviceId, patch) {
      return withDevice(by, deviceId, async (view, before) => {
        refuseRetired(before)
        const device: Device = { ...before, ...patch }
        if (isDeepStrictEqual(before, device)) return { answer: device }
        const audit = {
          actor: by.actor,
          verb: 'device.changed',
          subject: deviceId,
          before,
          after: device,
        } as const
        const client = patch.name === undefined ? undefined : await view.findClient(deviceId)
        const renamed = client === undefined ? {} : { client: { ...client, name: device.name } }
        return { changes: [{ audit, device, ...renamed }], answer: device }
      })
    },

    assign(by, deviceId, { lotId, fromMs }) {
      return withDevice(by, deviceId, async (view, device) => {
        refuseRetired(device)
        await requireLot(view, lotId)
        const before = await view.assignmentsOf(deviceId)
        const assignments = assign(before, { deviceId, lotId, fromMs })
        const audit = {
          actor: by.actor,
          verb: 'device.assigned',
          subject: deviceId,
          before,
          after: assignments,
        } as const
        // Never empty: see `assign`.
        return {
          changes: [{ audit, assignments }],
          answer: assignments[assignments.length - 1] as Assignment,
        }
      })
    },

    async move(by, deviceId, verb) {
      const moved = await withDevice<Device>(by, deviceId, async (view, before) => {
        const next = nextState(before.state, verb)
        if (next === undefined) throw stateConflict(before)
        const state = verb === 'resume' && before.state === 'suspended' ? await stateHad(view, before) : next
        if (state === before.state) return { answer: before }
        const device: Device = { ...before, state }
        const audit = {
          actor: by.actor,
          verb: auditVerbOf[verb],
          subject: deviceId,
          before,
          after: device,
        } as const
        const assignments = state === 'retired' ? release(await view.assignmentsOf(deviceId), now()) : []
        // Coming back is the only move that voids nothing.
        const revocations = verb === 'resume' ? [] : ([{ of: 'client', oauthClientId: deviceId }] as const)
        return { changes: [{ audit, device, assignments, revocations }], answer: device }
      })
      // Asked again, this is told again: it may have failed the first time. As it is now, whatever has come in between.
      const hasLost = await moveThere(directory, repository, await requireDevice(repository, deviceId))
      // The tokens it has got in the meantime: they would count again once it is resumed.
      if (hasLost)
        await changes.make({ actor: by.actor }, async () => ({
          changes: [{ revocations: [{ of: 'client', oauthClientId: deviceId }] }],
          answer: undefined,
        }))
      return moved
    },
  }
}

/** What a suspended device goes back to: as far as it had come, by what it holds. */
async function stateHad(view: RegistryView, { deviceId }: Device): Promise<Device['state']> {
  const held = await view.credentialsOf(deviceId)
  if (held.some(({ lastUsedAtMs }) => lastUsedAtMs !== null)) return 'active'
  return held.length > 0 ? 'enrolled' : 'registered'
}

export async function requireDevice(view: RegistryView, deviceId: string): Promise<Device> {
  const device = await view.findDevice(deviceId)
  if (device === undefined) throw notFound(`there is no device ${deviceId}`)
  return device
}

/** A lot named in a body: what is wrong is the request, the address is right. */
export async function requireLot(view: RegistryView, lotId: string): Promise<void> {
  if ((await view.findLot(lotId)) === undefined) throw invalid(`there is no lot ${lotId}`)
}

export function refuseRetired(device: Device): void {
  if (!mayChange(device.state)) throw stateConflict(device)
}

function stateConflict({ deviceId, state }: Device): Error {
  return conflict(`${deviceId} is ${state}`)
}
