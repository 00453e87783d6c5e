/** What analysts do at the terminal beyond plain questions: a SELECT, the live feed, exports into files. */
import { existsSync, renameSync, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { FleetError } from '../core/contract/errors.ts'
import type { LiveMissed } from '../core/contract/live.ts'
import type { ReadingRow } from '../core/contract/query.ts'
import type { ExportJob, ExportRequest, SqlColumn } from '../core/contract/sql.ts'
import { type Api, followEvents, piecesOf } from '../core/runtime/fetch.ts'
import { sumOf } from '../core/runtime/file-sum.ts'
import { receiveFile } from '../core/runtime/receive-file.ts'
import type { Voice } from './home.ts'
import { dash, grouped, ndjson, type Output, table } from './output.ts'

interface SqlAnswer {
  readonly columns: readonly SqlColumn[]
  readonly rowCount: number
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

/** A SELECT may take longer than other questions; the server says when it is over. */
const sqlTimeoutMs = 120_000

export async function sql(
  api: Api,
  text: string,
  { output, tz, voice }: { output: Output; tz: string | undefined; voice: Voice },
): Promise<void> {
  const ask = (format: 'json' | 'csv') => ({
    method: 'POST',
    body: { sql: text, format, ...(tz === undefined ? {} : { tz }) },
    timeoutMs: sqlTimeoutMs,
  })
  if (output === 'csv') {
    const response = await api.response('/v1/sql', ask('csv'))
    voice.answer((await response.text()).replace(/\r?\n$/, ''))
    return
  }
  const answer = await api.json<SqlAnswer>('/v1/sql', ask('json'))
  if (output === 'json') voice.answer(JSON.stringify(answer, undefined, 2))
  else if (answer.rows.length === 0) voice.note('no rows')
  else if (output === 'ndjson') voice.answer(ndjson(answer.rows))
  else
    voice.answer(
      table(
        answer.columns.map(({ name, type }) => ({
          head: name,
          cell: (row: SqlAnswer['rows'][number]) => cellOf(row[name]),
          ...(isNumber(type) ? { align: 'right' as const } : {}),
        })),
        answer.rows,
      ),
    )
}

function cellOf(value: unknown): string | number | boolean | null {
  if (value === null || value === undefined) return null
  return typeof value === 'object' ? JSON.stringify(value) : (value as string | number | boolean) // what else JSON has
}

function isNumber(type: string): boolean {
  return /INT|DOUBLE|FLOAT|DECIMAL/.test(type)
}

/** A connection on which nothing came for so long is made anew; there is a comment every ten seconds. */
const silentMs = 35_000

export interface WatchOptions {
  readonly lot?: readonly string[]
  readonly device?: readonly string[]
  readonly tz?: string
}

/** Shows readings as they are stored until `until` resolves. */
export async function watch(
  api: Api,
  options: WatchOptions,
  { output, voice, until }: { output: Output; voice: Voice; until: Promise<void> },
): Promise<void> {
  const query = new URLSearchParams()
  for (const id of options.lot ?? []) query.append('lot', id)
  for (const id of options.device ?? []) query.append('device', id)
  if (options.tz !== undefined) query.append('tz', options.tz)
  // What can never be right is said at once; everything else is tried again for ever.
  let refused: FleetError | undefined
  const stream = followEvents({
    api,
    path: `/v1/live?${query}`,
    silentMs,
    random: Math.random,
    onEvent({ type, data }) {
      if (type === 'reading')
        voice.answer(output === 'table' ? lineOf(JSON.parse(data) as ReadingRow) : data) // by its contract
      else if (type === 'missed')
        voice.note(missedText(JSON.parse(data) as LiveMissed)) // by its contract
      else if (type === 'cut') voice.note(`cut off: ${data}`)
    },
    onState(state) {
      if (state.connected) voice.note('listening; Ctrl-C ends it')
      else if (state.error instanceof FleetError && ['refused', 'invalid'].includes(state.error.kind)) {
        refused = state.error
        stream.stop()
      } else voice.note('the connection is lost; it is tried again')
    },
  })
  void until.then(() => stream.stop())
  await stream.done
  if (refused !== undefined) throw refused
}

function missedText({ receivedFrom }: LiveMissed): string {
  const rest = receivedFrom === null ? '' : `: lotctl readings --received-from ${receivedFrom}`
  return `something may be missed${rest}`
}

function lineOf({ time, deviceId, lotId, occupied, capacity, flags }: ReadingRow): string {
  const count = `${occupied ?? dash}${capacity === null ? '' : `/${capacity}`}`
  return [time, (lotId ?? dash).padEnd(16), deviceId.padEnd(16), count.padStart(9), flags.join(' ')]
    .join('  ')
    .trimEnd()
}

const pollMs = 1000

/** Has an export made, waits for it, and fetches it; what broke off before goes on where it was. */
export async function exportTo(
  api: Api,
  asked: ExportRequest,
  { file, keeps, voice, timeoutMs }: { file: string; keeps: boolean; voice: Voice; timeoutMs: number },
): Promise<void> {
  if (existsSync(file))
    throw new FleetError('request.conflict', `${file} is there already`, {
      safeDetail: `${file} is there already`,
    })
  let job = await api.json<ExportJob>('/v1/exports', { method: 'POST', body: asked, timeoutMs })
  const path = `/v1/exports/${job.id}`
  for (let shown = ''; job.state === 'waiting' || job.state === 'running'; ) {
    await delay(pollMs)
    job = await api.json<ExportJob>(path, { timeoutMs })
    const now = job.state === 'running' ? `${job.progress} %` : job.state
    if (now !== shown) voice.note(`${job.id}: ${now}`)
    shown = now
  }
  if (job.state === 'failed' || job.bytes === null)
    throw new FleetError('query.invalid', job.detail ?? 'the export failed', {
      safeDetail: `${job.code}: ${job.detail}`,
    })
  await fetchFile(api, `${path}/file`, { file: `${file}.part`, bytes: job.bytes })
  const { sha256 } = await sumOf(`${file}.part`)
  if (sha256 !== job.sha256)
    throw new FleetError('file.invalid', 'the checksum of what came is another than that of the export')
  renameSync(`${file}.part`, file)
  if (!keeps) await api.response(path, { method: 'DELETE', timeoutMs })
  voice.answer(`${file}  ${grouped(job.rows ?? 0)} rows  ${grouped(job.bytes)} bytes  sha256 ${sha256}`)
}

const fetchTriesMax = 5
const fetchTimeoutMs = 3600_000

async function fetchFile(
  api: Api,
  path: string,
  { file, bytes }: { file: string; bytes: number },
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const there = statSync(file, { throwIfNoEntry: false })?.size ?? 0
    if (there === bytes) return
    try {
      const headers = there === 0 ? {} : { range: `bytes=${there}-` }
      const response = await api.response(path, { headers, timeoutMs: fetchTimeoutMs })
      await receiveFile(file, piecesOf(response), { appends: response.status === 206, mode: 0o600 })
    } catch (error) {
      if (tries >= fetchTriesMax) throw error
      await delay(pollMs)
    }
  }
}
