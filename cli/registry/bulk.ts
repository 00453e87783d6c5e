/** Lists of devices in files: `device import` with a verdict for each row, and `device export`. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identifierPattern } from '../../core/contract/device.ts'
import type { ImportSummary, ImportVerdict } from '../../core/contract/device-import.ts'
import { FleetError, isFleetError } from '../../core/contract/errors.ts'
import type { Device, Lot } from '../../core/contract/registry.ts'
import { piecesOf } from '../../core/runtime/fetch.ts'
import type { Call, CallFlags } from '../call.ts'
import { type Exit, exits } from '../exit.ts'
import { counted } from '../output.ts'
import { writePrivate } from '../profiles.ts'
import { createScreen } from '../screen.ts'
import { enrolmentLink, enrolmentSheet, type SheetEntry } from '../sheets.ts'
import { type DeviceFilter, filterOf, readText } from './devices.ts'

interface ImportFlags extends CallFlags {
  /** A folder that gets a credential file for each device. */
  readonly credentials?: string
  /** A page to print, with an enrolment key for each device. */
  readonly sheets?: string
}

/** 10,000 rows take a while; what stops it is silence, not its length. */
const importMs = 30 * 60_000

export async function deviceImport(call: Call, flags: ImportFlags, file: string): Promise<Exit> {
  if (flags.credentials !== undefined && flags.sheets !== undefined)
    throw new FleetError(
      'request.invalid',
      'one of --credentials and --sheets: a device has one or the other',
    )
  const content = readText(file)
  const rowsMax = Math.max(0, content.split('\n').filter((line) => line.trim() !== '').length - 1)
  const issue = flags.credentials !== undefined ? 'secret' : flags.sheets !== undefined ? 'enrol-key' : 'none'
  if (flags.credentials !== undefined) mkdirSync(flags.credentials, { recursive: true, mode: 0o700 })
  const response = await call.api.response('/v1/devices/import', {
    method: 'POST',
    query: { dryRun: String(flags.dryRun === true), issue },
    text: { type: 'text/csv', content },
    timeoutMs: flags.timeoutMs ?? importMs,
  })
  const shown: Omit<ImportVerdict, 'credential' | 'enrolKey'>[] = []
  const cards: SheetEntry[] = []
  const screen = createScreen({
    write: (text) => process.stderr.write(text),
    columns: () => (process.stderr.isTTY ? process.stderr.columns : undefined),
    nowMs: () => performance.now(),
  })
  let summary: ImportSummary['summary'] | undefined
  for await (const line of linesOf(response)) {
    if ('summary' in line) {
      summary = line.summary
      continue
    }
    const { credential, enrolKey, ...verdict } = line
    shown.push(verdict)
    // As it comes: what the server has committed is not given out twice.
    if (credential !== undefined && flags.credentials !== undefined)
      writePrivate(join(flags.credentials, `${fileNameOf(line)}.json`), credential)
    if (enrolKey !== undefined) {
      const link = enrolmentLink(call.access.url('provisioning'), enrolKey)
      cards.push({ title: line.deviceId ?? `line ${line.line}`, key: enrolKey, link, uses: 1 })
    }
    screen.live(bar(shown.length, rowsMax))
  }
  screen.end()
  if (flags.sheets !== undefined && cards.length > 0)
    writeFileSync(flags.sheets, enrolmentSheet(cards, call.look.tz), { mode: 0o600 })
  tell(call, shown, summary)
  if (summary === undefined)
    throw new FleetError(
      'provisioning.unavailable',
      'the answer broke off; the same import again goes on where it ended',
    )
  if (flags.dryRun === true) call.voice.note('nothing was changed')
  if (summary.errors === 0) return exits.ok
  return summary.created + summary.unchanged === 0 && shown.length <= 1 ? exits.usage : exits.partial
}

/** For people only what went wrong: 10,000 lines that went well tell nobody anything. */
function tell(
  call: Call,
  rows: readonly Omit<ImportVerdict, 'credential' | 'enrolKey'>[],
  summary: ImportSummary['summary'] | undefined,
): void {
  const isTable = call.look.output === 'table' && !call.look.quiet
  const listed = isTable ? rows.filter(({ verdict }) => verdict === 'error') : rows
  const whole = { verdicts: rows, summary }
  const columns = ['line', 'deviceId', 'verdict', 'faults']
  if (!isTable || listed.length > 0) call.list({ rows: listed, columns, id: 'deviceId', whole })
  if (summary === undefined) return
  const { created, unchanged, errors } = summary
  const would = call.flags.dryRun === true ? 'would be created' : 'created'
  call.voice.note(
    `${counted(rows.length, 'row')}: ${created} ${would}, ${unchanged} unchanged, ${errors} wrong`,
  )
}

async function* linesOf(response: Response): AsyncGenerator<ImportVerdict | ImportSummary> {
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for await (const chunk of piecesOf(response)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (line !== '') yield JSON.parse(line)
    }
    if (rest.trim() !== '') yield JSON.parse(rest)
  } catch (cause) {
    if (isFleetError(cause)) throw cause
    throw new FleetError('provisioning.unavailable', 'the answer broke off', { cause })
  }
}

/** Never a path, whatever the answer says. */
function fileNameOf({ deviceId, line }: ImportVerdict): string {
  return deviceId !== undefined && new RegExp(identifierPattern).test(deviceId) ? deviceId : `line-${line}`
}

const barWidth = 30

function bar(done: number, all: number): string {
  const share = all === 0 ? 1 : Math.min(1, done / all)
  if (process.stderr.isTTY !== true) return `${done} of ${all} rows`
  const full = Math.round(share * barWidth)
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${done} of ${all}`
}

/** As `device import` takes it, without what is retired; credentials are never in it: they are shown once. */
export async function deviceExport(call: Call, flags: CallFlags & DeviceFilter): Promise<void> {
  const lotOf = new Map<string, string>()
  for (const { lotId } of await call.all<Lot>('/v1/lots', 'lots'))
    for (const { deviceId } of await call.all<Device>('/v1/devices', 'devices', { lotId, limit: 500 }))
      lotOf.set(deviceId, lotId)
  const devices = await call.all<Device>('/v1/devices', 'devices', await filterOf(call, flags))
  const rows = devices
    .filter(({ state }) => state !== 'retired' || flags.state === 'retired')
    .map(({ deviceId, name, tags, board }) => ({
      deviceId,
      name,
      lot: lotOf.get(deviceId) ?? null,
      tags,
      serial: board?.serial ?? null,
    }))
  const columns = ['deviceId', 'name', 'lot', 'tags', 'serial']
  call.list({ rows, columns, id: 'deviceId', whole: { devices: rows } })
}
