/** The verbs of `lotctl enrol-key`, `enrolment` and `alarm`: how boards become devices, and what must be looked at. */
import { writeFileSync } from 'node:fs'
import type { Alarm } from '../../core/contract/downlink.ts'
import type { EnrolKey, Enrolment, IssuedEnrolKey } from '../../core/contract/enrolment.ts'
import { type Call, type CallFlags, findId } from '../call.ts'
import type { Exit } from '../exit.ts'
import { readText } from './devices.ts'
import { columnsOf, kinds } from './kinds.ts'

interface EnrolKeyFlags extends CallFlags {
  readonly name?: string
  readonly lot?: string
  readonly tag?: readonly string[]
  readonly uses?: number
  readonly life?: number
  readonly approve?: 'auto' | 'manual'
  readonly serials?: string
  readonly device?: string
  readonly qr?: true
  readonly sheet?: string
}

export async function enrolKeyCreate(call: Call, flags: EnrolKeyFlags): Promise<void> {
  const keep = call.keepSecret()
  const lotId = flags.lot === undefined ? undefined : await findId(call, kinds.lot, flags.lot)
  const deviceId = flags.device === undefined ? undefined : await findId(call, kinds.device, flags.device)
  const issued = await call.change<IssuedEnrolKey>('POST', '/v1/enrol-keys', {
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(lotId === undefined ? {} : { lotId }),
    ...(flags.tag === undefined ? {} : { tags: flags.tag }),
    ...(flags.uses === undefined ? {} : { usesMax: flags.uses }),
    ...(flags.life === undefined ? {} : { lifeSec: flags.life }),
    ...(flags.approve === undefined ? {} : { approval: flags.approve === 'auto' ? 'automatic' : 'manual' }),
    ...(flags.serials === undefined ? {} : { serials: linesOf(readText(flags.serials)) }),
    ...(deviceId === undefined ? {} : { deviceId }),
  })
  if (issued === undefined) return
  const { enrolmentSheet, enrolmentLink } = await import('../sheets.ts')
  const link = enrolmentLink(call.access.url('provisioning'), issued.key)
  keep(issued, { enrolKeyId: issued.enrolKey.enrolKeyId })
  call.voice.note(`on the device: lot-agent enrol ${call.access.url('provisioning')} --key …`)
  if (flags.qr === true) {
    const { renderUnicodeCompact } = await import('uqr')
    call.voice.note(renderUnicodeCompact(link, { border: 2 }))
  }
  if (flags.sheet === undefined) return
  const { enrolKey, key } = issued
  const title = enrolKey.name ?? enrolKey.lotId ?? enrolKey.enrolKeyId
  const entry = { title, key, link, expiresAtMs: enrolKey.expiresAtMs, uses: enrolKey.usesMax }
  // It holds the key.
  writeFileSync(flags.sheet, enrolmentSheet([entry], call.look.tz), { mode: 0o600 })
  call.voice.note(`${flags.sheet} can be printed`)
}

export async function enrolKeyList(call: Call): Promise<void> {
  const rows = await call.all<EnrolKey>('/v1/enrol-keys', 'enrolKeys')
  call.list({ rows, columns: columnsOf.enrolKey, id: 'enrolKeyId', whole: { enrolKeys: rows } })
}

export async function enrolKeyShow(call: Call, _: CallFlags, given: string): Promise<void> {
  const enrolKeyId = await findId(call, kinds.enrolKey, given)
  call.show(await call.get<EnrolKey>(`/v1/enrol-keys/${enrolKeyId}`), 'enrolKeyId')
}

export async function enrolKeyRevoke(call: Call, _: CallFlags, ...given: string[]): Promise<Exit> {
  await call.confirm(`Revoke ${given.join(', ')}?`)
  const work = async (one: string) => {
    const enrolKeyId = await findId(call, kinds.enrolKey, one)
    await call.change('DELETE', `/v1/enrol-keys/${enrolKeyId}`)
    return call.flags.dryRun === true ? undefined : { enrolKeyId, revoked: true }
  }
  return call.each(given, work, { columns: ['enrolKeyId', 'revoked'], id: 'enrolKeyId' })
}

export async function enrolmentList(
  call: Call,
  { state, pending }: CallFlags & { readonly state?: string; readonly pending?: true },
): Promise<void> {
  const query = { state: pending === true ? 'pending' : state }
  const rows = await call.all<Enrolment>('/v1/enrolments', 'enrolments', query)
  call.list({ rows, columns: columnsOf.enrolment, id: 'enrolmentId', whole: { enrolments: rows } })
}

export const enrolmentApprove = decide('approve')

export async function enrolmentReject(call: Call, flags: CallFlags, ...given: string[]): Promise<Exit> {
  await call.confirm(`Reject ${given.join(', ')}?`)
  return decide('reject')(call, flags, ...given)
}

function decide(verb: 'approve' | 'reject') {
  return (call: Call, _: CallFlags, ...given: string[]): Promise<Exit> =>
    call.each(
      given,
      async (one) =>
        call.change<Enrolment>('POST', `/v1/enrolments/${await findId(call, kinds.enrolment, one)}/${verb}`),
      { columns: columnsOf.enrolment, id: 'enrolmentId' },
    )
}

export async function alarmList(call: Call, { open }: CallFlags & { readonly open?: true }): Promise<void> {
  const all = await call.all<Alarm>('/v1/alarms', 'alarms')
  const rows = open === true ? all.filter((alarm) => alarm.acknowledgedAtMs === null) : all
  call.list({ rows, columns: columnsOf.alarm, id: 'alarmId', whole: { alarms: rows } })
}

export async function alarmAck(call: Call, _: CallFlags, ...given: string[]): Promise<Exit> {
  return call.each(
    given,
    (alarmId) => call.change<Alarm>('POST', `/v1/alarms/${encodeURIComponent(alarmId)}/acknowledge`),
    { columns: columnsOf.alarm, id: 'alarmId' },
  )
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
