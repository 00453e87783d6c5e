/**
 * The registry: lots, devices, clients and their credentials, and every change to them. A change is decided on the
 * present state and committed with its audit entry and its feed events as one.
 * Who may ask is decided at the door (access.ts); tokens are given out by `oauth/`.
 */
import { isDeepStrictEqual } from 'node:util'
import type { CredentialFile } from '../core/contract/credential.ts'
import { FleetError } from '../core/contract/errors.ts'
import { audiences } from '../core/contract/principal.ts'
import type {
  Assignment,
  AssignmentRequest,
  Client,
  ClientRequest,
  CredentialRecord,
  Device,
  DeviceRequest,
  IssuedCredential,
  Lot,
  LotRequest,
} from '../core/contract/registry.ts'
import { isZone } from '../core/contract/zone.ts'
import { type DeviceVerb, mayChange, nextState } from './device.ts'
import { deviceGrants, fitsInToken, grantFaults } from './grants.ts'
import type { Issuer, NewCredential } from './issuer/issuer.ts'
import { assign, release } from './lots.ts'
import type { AuditVerb, RegistryRepository, RegistryView } from './repository/repository.ts'

export interface RegistryOptions {
  readonly repository: RegistryRepository
  readonly issuer: Issuer
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
  /** What devices are told about their broker. */
  readonly broker: NonNullable<CredentialFile['broker']>
  /** PEM, handed out in credential files. */
  readonly ca: string | undefined
  /** Called after each commit: the feed has news. */
  readonly committed: () => void
}

/** `actor` is the OAuth client that asks. Each promise resolves when the change is durable. */
export interface Registry {
  /** @throws FleetError `request.invalid` for a time zone nobody knows */
  setLot(actor: string, lotId: string, request: LotRequest): Promise<Lot>
  /** @throws FleetError `request.conflict` when the identifier is taken, `request.invalid` when there is no such lot */
  registerDevice(actor: string, request: DeviceRequest): Promise<IssuedCredential>
  showDevice(deviceId: string): Promise<DeviceDetails>
  assignDevice(actor: string, deviceId: string, request: AssignmentRequest): Promise<Assignment>
  /** @throws FleetError `request.conflict` when the device's state does not allow it */
  moveDevice(actor: string, deviceId: string, verb: DeviceVerb): Promise<Device>
  registerClient(actor: string, request: ClientRequest): Promise<IssuedCredential>
  /** Another credential for a device or client; those it has stay. */
  issueCredential(actor: string, owner: Owner): Promise<IssuedCredential>
  /** Void at once and for good; revoking it again changes nothing. */
  revokeCredential(actor: string, owner: Owner, credentialId: string): Promise<void>
  /** Makes the client one of these name and grants, without a credential when it is new. */
  ensureClient(actor: string, client: Client): Promise<void>
}

/** Whose credential: an identifier of a client is not found among devices, nor the other way round. */
export interface Owner {
  readonly of: 'device' | 'client'
  readonly oauthClientId: string
}

export interface DeviceDetails extends Device {
  readonly credentials: readonly CredentialRecord[]
  readonly assignments: readonly Assignment[]
}

const auditVerbOf = {
  suspend: 'device.suspended',
  resume: 'device.resumed',
  retire: 'device.retired',
} as const satisfies Record<DeviceVerb, AuditVerb>

export function createRegistry(options: RegistryOptions): Registry {
  const { repository, issuer, now } = options

  const change: RegistryRepository['change'] = async (decide) => {
    const answer = await repository.change(decide)
    options.committed()
    return answer
  }

  function credentialFile(client: Client, { clientSecret, stored }: NewCredential): IssuedCredential {
    return {
      credential: {
        v: 1,
        issuer: issuer.issuer,
        token_endpoint: issuer.tokenEndpoint,
        client_id: client.oauthClientId,
        client_secret: clientSecret,
        token_endpoint_auth_method: 'client_secret_basic',
        credentialId: stored.credentialId,
        ...(client.kind === 'device' ? { deviceId: client.oauthClientId, broker: options.broker } : {}),
        ...(options.ca === undefined ? {} : { ca: options.ca }),
      },
    }
  }

  return {
    setLot(actor, lotId, request) {
      return change(async (view) => {
        if (request.zone !== undefined && !isZone(request.zone))
          throw invalid(`zone: ${request.zone} is not an IANA time zone`)
        const lot: Lot = { ...request, lotId, capacities: inOrder(request.capacities) }
        const before = await view.findLot(lotId)
        if (isDeepStrictEqual(before, lot)) return { answer: lot }
        return {
          change: { audit: { actor, verb: 'lot.set', subject: lotId, before, after: lot }, lot },
          answer: lot,
        }
      })
    },

    async registerDevice(actor, request) {
      const { deviceId, name = deviceId, lotId } = request
      const client: Client = { oauthClientId: deviceId, name, kind: 'device', grants: [...deviceGrants] }
      const credential = await issuer.issueCredential(client)
      return change(async (view) => {
        if (lotId !== undefined) await requireLot(view, lotId)
        const registeredAtMs = now()
        const device: Device = { deviceId, name, state: 'active', registeredAtMs }
        const fromMs = request.assignedFromMs ?? registeredAtMs
        const assignments = lotId === undefined ? [] : assign([], { deviceId, lotId, fromMs })
        return {
          change: {
            audit: { actor, verb: 'device.registered', subject: deviceId, after: { device, assignments } },
            newClient: client,
            device,
            assignments,
            newCredential: { ...credential.stored, oauthClientId: deviceId },
          },
          answer: credentialFile(client, credential),
        }
      })
    },

    async showDevice(deviceId) {
      const device = await requireDevice(repository, deviceId)
      const [credentials, assignments] = await Promise.all([
        repository.credentialsOf(deviceId),
        repository.assignmentsOf(deviceId),
      ])
      return { ...device, credentials, assignments }
    },

    assignDevice(actor, deviceId, { lotId, fromMs }) {
      return change(async (view) => {
        refuseRetired(await requireDevice(view, deviceId))
        await requireLot(view, lotId)
        const before = await view.assignmentsOf(deviceId)
        const assignments = assign(before, { deviceId, lotId, fromMs })
        return {
          change: {
            audit: { actor, verb: 'device.assigned', subject: deviceId, before, after: assignments },
            assignments,
          },
          answer: assignments[assignments.length - 1] as Assignment, // never empty: see `assign`
        }
      })
    },

    moveDevice(actor, deviceId, verb) {
      return change(async (view) => {
        const before = await requireDevice(view, deviceId)
        const state = nextState(before.state, verb)
        if (state === undefined) throw stateConflict(before)
        if (state === before.state) return { answer: before }
        const device: Device = { ...before, state }
        const retiring = state === 'retired'
        return {
          change: {
            audit: { actor, verb: auditVerbOf[verb], subject: deviceId, before, after: device },
            device,
            assignments: retiring ? release(await view.assignmentsOf(deviceId), now()) : [],
            // Coming back is the only move that voids nothing.
            revocations: state === 'active' ? [] : [{ of: 'client', oauthClientId: deviceId }],
          },
          answer: device,
        }
      })
    },

    async registerClient(actor, request) {
      const { oauthClientId, name = oauthClientId, kind, grants, lots } = request
      const faults = grantFaults(grants)
      if (lots !== undefined && !fitsInToken(lots)) faults.push('lots: more than a token can carry')
      if (faults.length > 0) throw invalid(faults.join('; '))
      const client: Client = { oauthClientId, name, kind, grants, ...(lots === undefined ? {} : { lots }) }
      const credential = await issuer.issueCredential(client)
      return change(async () => ({
        change: {
          audit: { actor, verb: 'client.registered', subject: oauthClientId, after: client },
          newClient: client,
          newCredential: { ...credential.stored, oauthClientId },
        },
        answer: credentialFile(client, credential),
      }))
    },

    async issueCredential(actor, owner) {
      const { oauthClientId } = owner
      const client = await requireClient(repository, owner)
      const credential = await issuer.issueCredential(client)
      return change(async (view) => {
        if (owner.of === 'device') refuseRetired(await requireDevice(view, oauthClientId))
        const { credentialId } = credential.stored
        return {
          change: {
            audit: { actor, verb: 'credential.issued', subject: oauthClientId, after: { credentialId } },
            newCredential: { ...credential.stored, oauthClientId },
          },
          answer: credentialFile(client, credential),
        }
      })
    },

    revokeCredential(actor, owner, credentialId) {
      const { oauthClientId } = owner
      return change(async (view) => {
        await requireClient(view, owner)
        const known = (await view.credentialsOf(oauthClientId)).find(
          (one) => one.credentialId === credentialId,
        )
        if (known === undefined) throw notFound(`${oauthClientId} has no credential ${credentialId}`)
        if (known.revokedAtMs !== null) return { answer: undefined }
        return {
          change: {
            audit: { actor, verb: 'credential.revoked', subject: oauthClientId, before: { credentialId } },
            revocations: [{ of: 'credential', credentialId }],
          },
          answer: undefined,
        }
      })
    },

    ensureClient(actor, client) {
      const subject = client.oauthClientId
      return change(async (view) => {
        const before = await view.findClient(subject)
        if (before === undefined)
          return {
            change: {
              audit: { actor, verb: 'client.registered', subject, after: client },
              newClient: client,
            },
            answer: undefined,
          }
        if (isDeepStrictEqual(before.grants, client.grants)) return { answer: undefined }
        const after: Client = { ...before, grants: client.grants }
        return {
          change: { audit: { actor, verb: 'client.changed', subject, before, after }, client: after },
          answer: undefined,
        }
      })
    },
  }
}

function inOrder(capacities: Lot['capacities']): Lot['capacities'] {
  return capacities.toSorted((a, b) => a.fromMs - b.fromMs)
}

async function requireDevice(view: RegistryView, deviceId: string): Promise<Device> {
  const device = await view.findDevice(deviceId)
  if (device === undefined) throw notFound(`there is no device ${deviceId}`)
  return device
}

async function requireClient(view: RegistryView, { of, oauthClientId }: Owner): Promise<Client> {
  const client = await view.findClient(oauthClientId)
  if (client === undefined || (client.kind === 'device') !== (of === 'device'))
    throw notFound(`there is no ${of} ${oauthClientId}`)
  return client
}

/** A lot named in a body: what is wrong is the request, the address is right. */
async function requireLot(view: RegistryView, lotId: string): Promise<void> {
  if ((await view.findLot(lotId)) === undefined) throw invalid(`there is no lot ${lotId}`)
}

function refuseRetired(device: Device): void {
  if (!mayChange(device.state)) throw stateConflict(device)
}

function notFound(detail: string): FleetError {
  return new FleetError('request.not_found', detail, { safeDetail: detail })
}

function invalid(detail: string): FleetError {
  return new FleetError('request.invalid', detail, { safeDetail: detail })
}

function stateConflict({ deviceId, state }: Device): FleetError {
  const detail = `${deviceId} is ${state}`
  return new FleetError('request.conflict', detail, { safeDetail: detail })
}

/** Towards a broker of ours: it answers `authz-info`. */
export function brokerOf(url: string): NonNullable<CredentialFile['broker']> {
  return { url, audience: audiences.broker, renewal: 'in_band' }
}
