/**
 * How a board becomes a device: by an enrolment key, by its old key or client secret, or in a window that an operator opened.
 * The key pair is made on the board; what it gets is a credential file without the private half. Denied by default, and
 * a board that is refused is not told why: the log is.
 */
import type {
  EnrolAnswer,
  EnrolKey,
  EnrolKeyRequest,
  Enrolment,
  EnrolRequest,
  IssuedEnrolKey,
} from '../../core/contract/enrolment.ts'
import { FleetError } from '../../core/contract/errors.ts'
import { fingerprintOf } from '../../core/contract/fingerprint.ts'
import type { Device } from '../../core/contract/registry.ts'
import { nextState } from '../device.ts'
import type { EnrolProofs, OldProof } from '../enrol-proof.ts'
import { keyFault, windowVerdict } from '../enrolment.ts'
import { assign } from '../lots.ts'
import type { Change, Decision, RegistryRepository, RegistryView } from '../repository/repository.ts'
import { changesFor } from './boards.ts'
import { type By, type Changes, conflict, invalid, notFound } from './changes.ts'
import { type Credentials, isLive, recordOf, refuseKnownKey } from './credentials.ts'
import { deviceClient, refuseRetired, requireDevice, requireLot } from './devices.ts'

export interface Enrolments {
  makeKey(by: By, request: EnrolKeyRequest): Promise<IssuedEnrolKey>
  /** Nobody enrols with it any more; revoking it again changes nothing. */
  revokeKey(by: By, enrolKeyId: string): Promise<void>
  /** @throws FleetError `enrolment.refused` */
  enrol(request: EnrolRequest): Promise<EnrolAnswer>
  /** Makes a pending board a device. @throws FleetError `request.conflict` when it was decided already */
  approve(by: By, enrolmentId: string): Promise<Enrolment>
  reject(by: By, enrolmentId: string): Promise<Enrolment>
  /** Lets a device enrol again, without a key, for so long. */
  openWindow(by: By, deviceId: string, lifeSec: number): Promise<Device>
  closeWindow(by: By, deviceId: string): Promise<Device>
}

export interface EnrolmentsOptions {
  readonly repository: RegistryRepository
  readonly changes: Changes
  readonly credentials: Pick<Credentials, 'newCredentialFor'>
  readonly proofs: EnrolProofs
  /** Keyed hash of an enrolment key. */
  readonly hash: (key: string) => Uint8Array
  readonly makeKeyText: () => string
  readonly newId: (prefix: string) => string
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

const keyLifeSec = 24 * 3600
/** How long old credentials last when their device proved that it still has one. */
const graceMs = 3600_000
const askAgainSec = 10
/** Boards that wait in the window of one device: strangers may be among them, and each is a record. */
const waitingMax = 10
const waitingLookedAt = 1000

/** On what grounds a board is let in, and as whom. */
interface Grounds {
  readonly deviceId: string
  readonly enrolKey?: EnrolKey
  /** Old credentials: of a device that proved it has one they end after a grace, all others are void. */
  readonly hasOld?: boolean
  readonly isPending: boolean
}

export function createEnrolments(options: EnrolmentsOptions): Enrolments {
  const { repository, changes, credentials, proofs, now } = options

  async function groundsOf(
    view: RegistryView,
    request: EnrolRequest,
    previous: OldProof | undefined,
  ): Promise<Grounds> {
    if (request.previous !== undefined || request.secret !== undefined) {
      if (previous === undefined) throw refused('the proof of the old credential does not hold')
      const { deviceId, credentialId } = previous
      const held = await view.credentialsOf(deviceId)
      if (!held.some((one) => one.credentialId === credentialId && isLive(one, now())))
        throw refused('the old credential was revoked, or has expired')
      return { deviceId, hasOld: true, isPending: false }
    }
    if (request.key !== undefined) return groundsByKey(view, request, request.key)
    if (request.deviceId === undefined) throw refused('there is no key, no old key and no device')
    const device = await view.findDevice(request.deviceId)
    const verdict = device === undefined ? 'closed' : windowVerdict(device, request.board, now())
    if (verdict === 'closed') throw refused('no window is open for the device')
    if (verdict === 'other_board') throw refused('the window is open for another board')
    if (verdict === 'ask') await refuseCrowd(view, request.deviceId)
    return { deviceId: request.deviceId, isPending: verdict === 'ask' }
  }

  async function provedBy(request: EnrolRequest, thumbprint: string): Promise<OldProof | undefined> {
    const { previous, secret, deviceId } = request
    if (previous !== undefined) return proofs.ofOldKey(previous, thumbprint)
    if (secret === undefined || deviceId === undefined) return undefined
    return proofs.ofSecret(deviceId, secret)
  }

  async function groundsByKey(view: RegistryView, request: EnrolRequest, key: string): Promise<Grounds> {
    const enrolKey = await view.findEnrolKeyByDigest(options.hash(key))
    if (enrolKey === undefined) throw refused('there is no such key')
    const fault = keyFault(enrolKey, { nowMs: now(), serial: request.board?.serial })
    if (fault !== undefined) throw refused(fault)
    if (
      enrolKey.deviceId !== undefined &&
      request.deviceId !== undefined &&
      request.deviceId !== enrolKey.deviceId
    )
      throw refused('the key is for another device')
    const deviceId = enrolKey.deviceId ?? request.deviceId ?? options.newId('dev')
    // Its identity belongs to a device that is there: only a key for that device lets a board take it.
    if (enrolKey.deviceId === undefined && (await view.findClient(deviceId)) !== undefined)
      throw refused(`the identifier ${deviceId} is taken`)
    return { deviceId, enrolKey, isPending: enrolKey.approval === 'manual' }
  }

  /** The changes that make a board this device, with the key it brought. */
  async function admission(
    view: RegistryView,
    actor: string,
    enrolment: Pick<Enrolment, 'deviceId' | 'publicKey' | 'board' | 'name'>,
    grounds: Pick<Grounds, 'enrolKey' | 'hasOld'>,
  ): Promise<{ changes: Change[]; answer: EnrolAnswer }> {
    const { deviceId, publicKey, board, name = deviceId } = enrolment
    const { enrolKey } = grounds
    const before = await view.findDevice(deviceId)
    const client = (await view.findClient(deviceId)) ?? deviceClient(deviceId, name)
    const { stored, file, client: named } = await credentials.newCredentialFor(client, { publicKey })
    await refuseKnownKey(view, stored)
    const registeredAtMs = now()
    const fresh: Device = { deviceId, name, state: 'registered', registeredAtMs, tags: enrolKey?.tags ?? [] }
    const { enrolWindowUntilMs: _, ...present } = before ?? fresh
    const state = nextState(present.state, 'enrol')
    if (state === undefined) throw refused(`the device is ${present.state}`)
    const device: Device = {
      ...present,
      state,
      ...(before === undefined && board !== undefined ? { board } : {}),
    }
    const old = (await view.credentialsOf(deviceId)).filter(({ revokedAtMs }) => revokedAtMs === null)
    const lotId = enrolKey?.lotId
    const assignments =
      lotId === undefined
        ? []
        : assign(await view.assignmentsOf(deviceId), { deviceId, lotId, fromMs: registeredAtMs })
    const admitted: Change = {
      audit: {
        actor,
        verb: 'device.enrolled',
        subject: deviceId,
        ...(before === undefined ? {} : { before }),
        after: {
          device,
          credential: recordOf(stored),
          ...(enrolKey === undefined ? {} : { enrolKeyId: enrolKey.enrolKeyId }),
        },
      },
      ...(before === undefined ? { newClient: named } : {}),
      device,
      assignments,
      newCredential: { ...stored, oauthClientId: deviceId },
      ...(grounds.hasOld === true
        ? {
            credentialsExpire: {
              credentialIds: old.map(({ credentialId }) => credentialId),
              atMs: registeredAtMs + graceMs,
            },
          }
        : {
            revocations: old.map(({ credentialId }) => ({ of: 'credential', credentialId }) as const),
          }),
    }
    const boards = board === undefined || before === undefined ? [] : await changesFor(view, deviceId, board)
    return {
      // What the board shows is noted on the device as it is then.
      changes: [admitted, ...boards.map((change) => withDevice(change, device, board))],
      answer: { status: 'enrolled', credential: file },
    }
  }

  /** The answer to a board that asks again with the same key: the first one may have been lost. */
  async function answerAgain(
    view: RegistryView,
    known: Enrolment,
    thumbprint: string,
  ): Promise<EnrolAnswer | undefined> {
    if (known.state === 'rejected') throw refused('an operator rejected it')
    if (known.state === 'pending') return pendingOf(known)
    const live = await view.findKey(thumbprint)
    const client = await view.findClient(known.deviceId)
    if (live === undefined || client === undefined) return undefined
    const { file } = await credentials.newCredentialFor(client, { publicKey: known.publicKey })
    return { status: 'enrolled', credential: { ...file, credentialId: live.credentialId } }
  }

  async function decide(
    view: RegistryView,
    request: EnrolRequest,
    thumbprint: string,
    previous: OldProof | undefined,
  ): Promise<Decision<EnrolAnswer>> {
    const known = await view.findEnrolmentByKey(thumbprint)
    const again = known === undefined ? undefined : await answerAgain(view, known, thumbprint)
    if (again !== undefined) return { answer: again }
    const grounds = await groundsOf(view, request, previous)
    const { deviceId, enrolKey, isPending } = grounds
    const createdAtMs = now()
    const enrolment: Enrolment = {
      enrolmentId: options.newId('enr'),
      ...(enrolKey === undefined ? {} : { enrolKeyId: enrolKey.enrolKeyId }),
      deviceId,
      ...(request.name === undefined ? {} : { name: request.name }),
      publicKey: request.publicKey,
      fingerprint: fingerprintOf(thumbprint),
      ...(request.board === undefined ? {} : { board: request.board }),
      state: isPending ? 'pending' : 'approved',
      createdAtMs,
      decidedAtMs: isPending ? null : createdAtMs,
    }
    const noted: Change = {
      audit: { actor: deviceId, verb: 'enrolment.requested', subject: deviceId, after: enrolment },
      enrolment: { ...enrolment, thumbprint },
      ...(enrolKey === undefined ? {} : { enrolKey: { ...enrolKey, uses: enrolKey.uses + 1 } }),
    }
    if (isPending) return { changes: [noted], answer: pendingOf(enrolment) }
    const admitted = await admission(view, deviceId, enrolment, grounds)
    return { changes: [noted, ...admitted.changes], answer: admitted.answer }
  }

  /** Decides on one that waits. */
  const settle = (
    by: By,
    enrolmentId: string,
    state: 'approved' | 'rejected',
    more: (view: RegistryView, enrolment: Enrolment) => Promise<readonly Change[]>,
  ): Promise<Enrolment> =>
    changes.make(by, async (view) => {
      const before = await view.findEnrolment(enrolmentId)
      if (before === undefined) throw notFound(`there is no enrolment ${enrolmentId}`)
      if (before.state === state) return { answer: before }
      if (before.state !== 'pending') throw conflict(`${enrolmentId} is ${before.state}`)
      const after: Enrolment = { ...before, state, decidedAtMs: now() }
      const audit = { actor: by.actor, verb: `enrolment.${state}`, subject: before.deviceId, after } as const
      const thumbprint = before.fingerprint.replaceAll(' ', '')
      return {
        changes: [{ audit, enrolment: { ...after, thumbprint } }, ...(await more(view, before))],
        answer: after,
      }
    })

  return {
    makeKey(by, request) {
      const { lifeSec = keyLifeSec, usesMax = 1, tags = [], approval = 'automatic', ...rest } = request
      const key = options.makeKeyText()
      return changes.make(by, async (view) => {
        if (request.lotId !== undefined) await requireLot(view, request.lotId)
        if (request.deviceId !== undefined) {
          const device = await view.findDevice(request.deviceId)
          if (device === undefined) throw invalid(`there is no device ${request.deviceId}`)
          refuseRetired(device)
        }
        const createdAtMs = now()
        const enrolKey: EnrolKey = {
          enrolKeyId: options.newId('key'),
          ...rest,
          tags,
          usesMax,
          uses: 0,
          createdAtMs,
          expiresAtMs: createdAtMs + lifeSec * 1000,
          approval,
          revokedAtMs: null,
        }
        const subject = enrolKey.enrolKeyId
        const audit = { actor: by.actor, verb: 'enrol_key.made', subject, after: enrolKey } as const
        return {
          changes: [{ audit, enrolKey: { ...enrolKey, digest: options.hash(key) } }],
          answer: { enrolKey, key },
        }
      })
    },

    revokeKey(by, enrolKeyId) {
      return changes.make(by, async (view) => {
        const before = await view.findEnrolKey(enrolKeyId)
        if (before === undefined) throw notFound(`there is no enrolment key ${enrolKeyId}`)
        if (before.revokedAtMs !== null) return { answer: undefined }
        const enrolKey: EnrolKey = { ...before, revokedAtMs: now() }
        const audit = { actor: by.actor, verb: 'enrol_key.revoked', subject: enrolKeyId, before } as const
        return { changes: [{ audit, enrolKey }], answer: undefined }
      })
    },

    async enrol(request) {
      const proof = await proofs.ofNewKey(request)
      if (proof === undefined) throw refused('the proof of the new key does not hold')
      const { thumbprint } = proof
      const previous = await provedBy(request, thumbprint)
      // As things are now: who has no ground at all is turned away before anything is written.
      if ((await repository.findEnrolmentByKey(thumbprint)) === undefined)
        await groundsOf(repository, request, previous)
      if (!(await proof.useUp())) throw refused('the proof of the new key was used before')
      return repository.change((view) => decide(view, request, thumbprint, previous))
    },

    approve: (by, enrolmentId) =>
      settle(by, enrolmentId, 'approved', async (view, enrolment) => {
        const grounds = await groundsNow(view, enrolment)
        return (await admission(view, by.actor, enrolment, grounds)).changes
      }),

    reject: (by, enrolmentId) => settle(by, enrolmentId, 'rejected', async () => []),

    openWindow: (by, deviceId, lifeSec) => setWindow(by, deviceId, now() + lifeSec * 1000),
    closeWindow: (by, deviceId) => setWindow(by, deviceId, undefined),
  }

  function setWindow(by: By, deviceId: string, untilMs: number | undefined): Promise<Device> {
    return changes.make(by, async (view) => {
      const before = await requireDevice(view, deviceId)
      refuseRetired(before)
      const { enrolWindowUntilMs: _, ...closed } = before
      const device: Device = untilMs === undefined ? closed : { ...closed, enrolWindowUntilMs: untilMs }
      const audit = {
        actor: by.actor,
        verb: untilMs === undefined ? 'device.changed' : 'device.window_opened',
        subject: deviceId,
        before,
        after: device,
      } as const
      return { changes: [{ audit, device }], answer: device }
    })
  }
}

/**
 * What let a board wait may not hold any more: its name may be a device's by now, which would lose it.
 * @throws FleetError `request.conflict`
 */
async function groundsNow(
  view: RegistryView,
  { enrolKeyId, deviceId }: Enrolment,
): Promise<Pick<Grounds, 'enrolKey'>> {
  const device = await view.findDevice(deviceId)
  if (device !== undefined && nextState(device.state, 'enrol') === undefined)
    throw conflict(`${deviceId} is ${device.state}`)
  const enrolKey = enrolKeyId === undefined ? undefined : await view.findEnrolKey(enrolKeyId)
  if (enrolKey === undefined) return {}
  if (enrolKey.deviceId === undefined && (await view.findClient(deviceId)) !== undefined)
    throw conflict(`the identifier ${deviceId} was taken meanwhile`)
  return { enrolKey }
}

async function refuseCrowd(view: RegistryView, deviceId: string): Promise<void> {
  const waiting = await view.enrolments({ state: 'pending', limit: waitingLookedAt })
  const before = waiting.filter((one) => one.deviceId === deviceId)
  if (before.length >= waitingMax || waiting.length >= waitingLookedAt)
    throw refused('too many boards wait for approval')
}

function withDevice(change: Change, device: Device, board: Device['board']): Change {
  return change.device === undefined || board === undefined
    ? change
    : { ...change, device: { ...device, board } }
}

function pendingOf({ enrolmentId, fingerprint }: Enrolment): EnrolAnswer {
  return { status: 'pending', enrolmentId, fingerprint, retryAfterSec: askAgainSec }
}

/** One answer for all of it: what a stranger learns from trying is nothing. */
function refused(reason: string): FleetError {
  return new FleetError('enrolment.refused', reason, { safeDetail: 'enrolment refused' })
}
