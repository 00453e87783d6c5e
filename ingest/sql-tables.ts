/** The small tables beside the readings, as lines of JSON in files: lots, assignments, ledger and gaps, as far as somebody may see them. */
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { DeviceId, LotId } from '../core/contract/device.ts'
import type { Principal } from '../core/contract/principal.ts'
import { incidentsOf } from './incidents.ts'
import type { Ledger } from './ledger.ts'
import { capacityAt, type Places } from './places.ts'
import type { SmallTable } from './sql-views.ts'

export interface TablesSource {
  readonly places: Places
  readonly ledger: Ledger
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

const gapsMax = 100_000
/** Lines written in one go: a large ledger does not hold up the program. */
const linesAtOnce = 500

/** Writes the tables into a folder. @returns the file of each */
export async function writeTables(
  folder: string,
  source: TablesSource,
  principal: Pick<Principal, 'lots'>,
): Promise<Record<SmallTable, string>> {
  const tables = rowsOf(source, principal)
  const files: Partial<Record<SmallTable, string>> = {}
  for (const name of Object.keys(tables) as SmallTable[]) {
    const file = join(folder, `${name}.jsonl`)
    await pipeline(Readable.from(linesOf(tables[name])), createWriteStream(file))
    files[name] = file
  }
  return files as Record<SmallTable, string> // each name was gone through
}

function* linesOf(rows: Iterable<object>): Iterable<string> {
  let lines: string[] = []
  for (const row of rows) {
    lines.push(JSON.stringify(row))
    if (lines.length < linesAtOnce) continue
    yield `${lines.join('\n')}\n`
    lines = []
  }
  yield lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

function rowsOf(
  { places, ledger, now }: TablesSource,
  { lots: limit }: Pick<Principal, 'lots'>,
): Record<SmallTable, Iterable<object>> {
  const nowMs = now()
  const lots = places.lots().filter(({ lotId }) => limit === undefined || limit.has(lotId as LotId)) // only looked up
  const assignments = lots.flatMap(({ lotId }) =>
    // The feed's schema has the same grammar.
    places.spansOf(lotId as LotId, 0, Number.MAX_SAFE_INTEGER).map((span) => ({ ...span, lotId })),
  )
  const known: DeviceId[] = limit === undefined ? [...ledger.deviceIds()] : []
  const deviceIds = [...new Set([...known, ...assignments.map(({ deviceId }) => deviceId)])].sort()
  const lotNow = new Map(
    assignments
      .filter(({ fromMs, toMs }) => fromMs <= nowMs && nowMs < toMs)
      .map(({ deviceId, lotId }) => [deviceId, lotId]),
  )
  return {
    lots: lots.map(({ lotId, name, latitude, longitude, zone, openingHours, capacities }) => ({
      lotId,
      name,
      latitude,
      longitude,
      zone,
      openingHours,
      capacity: capacityAt(capacities, nowMs),
    })),
    capacities: lots.flatMap(({ lotId, capacities }) => capacities.map((dated) => ({ lotId, ...dated }))),
    devices: deviceIds.map((deviceId) => ({ deviceId, lotId: lotNow.get(deviceId) })),
    assignments,
    ledger: ledgerRows(ledger, deviceIds),
    gaps: gapRows(ledger, deviceIds),
  }
}

function* ledgerRows(ledger: Ledger, deviceIds: readonly DeviceId[]): Iterable<object> {
  // As it is now: it may grow while the rows before it are written.
  for (const deviceId of deviceIds)
    for (const [epoch, { settled }] of [...ledger.epochsOf(deviceId)])
      for (const range of [...settled]) yield { deviceId, epoch, ...range }
}

function* gapRows(ledger: Ledger, deviceIds: readonly DeviceId[]): Iterable<object> {
  let count = 0
  for (const deviceId of deviceIds)
    for (const { kind, epoch, fromSeq, toSeq } of incidentsOf(ledger, deviceId)) {
      if (kind !== 'lost' && kind !== 'dropped') continue
      if (++count > gapsMax) return
      yield { deviceId, epoch, fromSeq, toSeq, reason: kind === 'dropped' ? 'outbox_limit' : 'unexplained' }
    }
}
