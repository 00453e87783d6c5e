/** The verbs of `lotctl device`, but for lists of them in files (`bulk.ts`). */
import { readFileSync } from 'node:fs'
import type { CredentialRecord, IssuedCredential } from '../../core/contract/client.ts'
import { FleetError } from '../../core/contract/errors.ts'
import type { Assignment, Device, DeviceState } from '../../core/contract/registry.ts'
import { type Call, type CallFlags, findId } from '../call.ts'
import { type Exit, exits } from '../exit.ts'
import { columnsOf, kinds } from './kinds.ts'

type Named = CallFlags & { readonly name?: string }

export async function deviceRegister(
  call: Call,
  flags: Named & {
    readonly lot?: string
    readonly from?: number
    readonly tag?: readonly string[]
    /** False with `--no-credential`. */
    readonly issue?: boolean
  },
  deviceId: string,
): Promise<void> {
  const keep = call.keepSecret()
  const lotId = flags.lot === undefined ? undefined : await findId(call, kinds.lot, flags.lot)
  const answer = await call.change<IssuedCredential | { device: Device }>('POST', '/v1/devices', {
    deviceId,
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(lotId === undefined ? {} : { lotId }),
    ...(flags.from === undefined ? {} : { assignedFromMs: flags.from }),
    ...(flags.tag === undefined ? {} : { tags: flags.tag }),
    ...(flags.issue === false ? { credential: 'none' } : {}),
  })
  if (answer === undefined) return
  if ('credential' in answer)
    keep(answer.credential, { deviceId, credentialId: answer.credential.credentialId })
  else call.show(answer.device, 'deviceId')
}

export interface DeviceFilter {
  readonly tag?: readonly string[]
  readonly state?: DeviceState
  readonly lot?: string
  readonly search?: string
}

export async function deviceList(
  call: Call,
  flags: CallFlags & DeviceFilter & { readonly limit?: number },
): Promise<void> {
  const rows = await call.all<Device>('/v1/devices', 'devices', await filterOf(call, flags), flags.limit)
  call.list({ rows, columns: columnsOf.device, id: 'deviceId', whole: { devices: rows } })
}

export async function filterOf(call: Call, { tag, state, lot, search }: DeviceFilter) {
  const lotId = lot === undefined ? undefined : await findId(call, kinds.lot, lot)
  return { tag, state, lotId, search, limit: 500 }
}

type ShownDevice = Device & { readonly credentials: CredentialRecord[]; readonly assignments: Assignment[] }

export async function deviceShow(call: Call, _: CallFlags, given: string): Promise<void> {
  const deviceId = await findId(call, kinds.device, given)
  call.show(await call.get<ShownDevice>(`/v1/devices/${deviceId}`), 'deviceId')
}

export async function deviceEdit(call: Call, { name }: Named, given: string): Promise<void> {
  if (name === undefined) throw new FleetError('request.invalid', 'nothing to edit: --name')
  const deviceId = await findId(call, kinds.device, given)
  call.show(await call.change<Device>('PATCH', `/v1/devices/${deviceId}`, { name }), 'deviceId')
}

export async function deviceTag(
  call: Call,
  {
    add = [],
    remove = [],
  }: CallFlags & { readonly add?: readonly string[]; readonly remove?: readonly string[] },
  ...given: string[]
): Promise<Exit> {
  if (add.length + remove.length === 0)
    throw new FleetError('request.invalid', 'nothing to tag: --add, --remove')
  return each(call, given, async (deviceId) => {
    const { value, match } = await call.read<Device>(`/v1/devices/${deviceId}`)
    const tags = [...new Set([...(value?.tags ?? []), ...add])].filter((tag) => !remove.includes(tag))
    return call.change<Device>('PATCH', `/v1/devices/${deviceId}`, { tags }, match)
  })
}

/** From now on, or from an instant before or after. */
export async function deviceAssign(
  call: Call,
  { from }: CallFlags & { readonly from?: number },
  given: string,
  givenLot: string,
): Promise<void> {
  const deviceId = await findId(call, kinds.device, given)
  const lotId = await findId(call, kinds.lot, givenLot)
  const body = { lotId, fromMs: from ?? Date.now() }
  call.show(await call.change<object>('POST', `/v1/devices/${deviceId}/assignments`, body), 'deviceId')
}

export const deviceSuspend = move('suspend')
export const deviceResume = move('resume')

export async function deviceRetire(call: Call, flags: CallFlags, ...given: string[]): Promise<Exit> {
  await call.confirm(`Retire ${given.join(', ')} for good?`)
  return move('retire')(call, flags, ...given)
}

function move(verb: 'suspend' | 'resume' | 'retire') {
  return (call: Call, _: CallFlags, ...given: string[]): Promise<Exit> =>
    each(call, given, (deviceId) => call.change<Device>('POST', `/v1/devices/${deviceId}/${verb}`))
}

function each(
  call: Call,
  given: readonly string[],
  work: (deviceId: string) => Promise<Device | undefined>,
): Promise<Exit> {
  return call.each(given, async (one) => work(await findId(call, kinds.device, one)), {
    columns: columnsOf.device,
    id: 'deviceId',
  })
}

export async function deviceRotate(
  call: Call,
  flags: CallFlags & { readonly grace?: number; readonly publicKey?: string },
  given: string,
): Promise<void> {
  const deviceId = await findId(call, kinds.device, given)
  await rotate(call, flags, `/v1/devices/${deviceId}`, { deviceId })
}

/** Of a device or a client: another credential, and the others end after the grace. */
export async function rotate(
  call: Call,
  { grace, publicKey }: { readonly grace?: number; readonly publicKey?: string },
  path: string,
  owner: object,
): Promise<void> {
  const keep = call.keepSecret()
  const answer = await call.change<IssuedCredential>('POST', `${path}/rotate`, {
    ...(grace === undefined ? {} : { graceSec: grace }),
    ...publicKeyOf(publicKey),
  })
  if (answer !== undefined)
    keep(answer.credential, { ...owner, credentialId: answer.credential.credentialId })
}

/** A file that holds the public key as JWK or PEM. */
export function publicKeyOf(file: string | undefined): { readonly publicKey?: unknown } {
  if (file === undefined) return {}
  const text = readText(file).trim()
  return { publicKey: text.startsWith('{') ? parseJson(text, file) : text }
}

export async function deviceRevoke(
  call: Call,
  _: CallFlags,
  given: string,
  credentialId: string,
): Promise<void> {
  await call.confirm(`Revoke the credential ${credentialId} of ${given}?`)
  const deviceId = await findId(call, kinds.device, given)
  await call.change('DELETE', `/v1/devices/${deviceId}/credentials/${credentialId}`)
  call.done({ credentialId, deviceId, revoked: true })
}

/** In which a device that lost its key may enrol again. */
export async function deviceWindow(
  call: Call,
  { life = 3600, close }: CallFlags & { readonly life?: number; readonly close?: true },
  given: string,
): Promise<void> {
  const deviceId = await findId(call, kinds.device, given)
  const path = `/v1/devices/${deviceId}/enrol-window`
  if (close !== true) return call.show(await call.change<Device>('POST', path, { lifeSec: life }), 'deviceId')
  await call.change('DELETE', path)
  call.done({ deviceId, enrolWindow: 'closed' })
}

export async function deviceConfigGet(call: Call, _: CallFlags, given: string): Promise<void> {
  const deviceId = await findId(call, kinds.device, given)
  call.show(await call.get<object>(`/v1/devices/${deviceId}/config`), 'deviceId')
}

/** @param file a JSON object, or `-` for standard input */
export async function deviceConfigSet(call: Call, _: CallFlags, given: string, file: string): Promise<void> {
  const config = parseJson(readText(file), file)
  const deviceId = await findId(call, kinds.device, given)
  call.show(await call.change<object>('PUT', `/v1/devices/${deviceId}/config`, config), 'deviceId')
}

export async function deviceCommand(
  call: Call,
  { life, arguments: args }: CallFlags & { readonly life?: number; readonly arguments?: string },
  given: string,
  name?: string,
): Promise<void> {
  const deviceId = await findId(call, kinds.device, given)
  const path = `/v1/devices/${deviceId}/commands`
  if (name === undefined) {
    const rows = await call.all<object>(path, 'commands')
    return call.list({ rows, columns: columnsOf.command, id: 'commandId', whole: { commands: rows } })
  }
  const command = await call.change<object>('POST', path, {
    name,
    ...(args === undefined ? {} : { arguments: parseJson(args, '--arguments') }),
    ...(life === undefined ? {} : { lifeSec: life }),
  })
  call.show(command, 'commandId')
}

/** @throws FleetError `file.invalid` */
export function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    throw new FleetError('file.invalid', `${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

export function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // What JSON.parse says quotes the text, which may be a secret.
    throw new FleetError('file.invalid', `${name} is not JSON`)
  }
}

/** How a verb with rows that failed ends. */
export function partial(done: number, failed: number): Exit {
  if (failed === 0) return exits.ok
  return done === 0 ? exits.failed : exits.partial
}
