/**
 * Devices from a list, such as a CSV file: a verdict for each row, committed some hundred rows at a time. A row that is
 * there already, as it is written, is unchanged: a list that was cut off is simply imported again.
 */
import { isDeepStrictEqual } from 'node:util'
import { Compile } from 'typebox/compile'
import type { ImportSummary, ImportVerdict } from '../../core/contract/device-import.ts'
import type { EnrolKey } from '../../core/contract/enrolment.ts'
import { type Device, Identifier, Name, Tags } from '../../core/contract/registry.ts'
import { didYouMean } from '../../core/runtime/env.ts'
import { assign, holdsAt } from '../lots.ts'
import type { Change, RegistryRepository, RegistryView } from '../repository/repository.ts'
import { type By, type Changes, invalid } from './changes.ts'
import type { Credentials, PreparedCredential } from './credentials.ts'
import { deviceClient } from './devices.ts'

export type ImportIssue = 'none' | 'secret' | 'enrol-key'

/** A row of the list by column, with the line it begins on. */
export interface ImportRow {
  readonly line: number
  readonly cells: Readonly<Record<string, string>>
}

export interface Imports {
  /**
   * @param rows in order; read as fast as verdicts are taken
   * @param options `mayGoOn` is asked before each commit, and ends all of it by throwing
   * @returns a verdict for each row, in order, and the summary last
   */
  run(
    by: By,
    rows: AsyncIterable<ImportRow>,
    options: {
      readonly dryRun: boolean
      readonly issue: ImportIssue
      readonly mayGoOn: () => Promise<void>
    },
  ): AsyncGenerator<ImportVerdict | ImportSummary>
}

export interface ImportsOptions {
  readonly repository: RegistryRepository
  readonly changes: Changes
  readonly credentials: Pick<Credentials, 'newCredentialFor'>
  readonly hash: (key: string) => Uint8Array
  readonly makeKeyText: () => string
  readonly newId: (prefix: string) => string
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** Names that stand for the same column. */
const columns: Readonly<Record<string, string>> = {
  device: 'deviceId',
  deviceid: 'deviceId',
  name: 'name',
  lot: 'lotId',
  lotid: 'lotId',
  tags: 'tags',
  serial: 'serial',
}

/** Rows in one commit: what others wait for meanwhile stays short. */
const committedAtOnce = 250
const enrolKeyLifeMs = 30 * 86_400_000

interface Wanted {
  readonly line: number
  readonly deviceId: string
  readonly name: string
  readonly lotId: string | undefined
  readonly tags: string[]
  readonly serial: string | undefined
}

type Judged =
  | { readonly line: number; readonly faults: readonly string[]; readonly deviceId?: string }
  | Wanted

/**
 * What the columns of a list are called here.
 * @throws FleetError `request.invalid` for a column nobody knows, one twice, or none with identifiers
 */
export function columnsOf(header: readonly string[]): string[] {
  const names = header.map((given) => {
    const name = columns[given.trim().toLowerCase().replaceAll(/[ _-]/g, '')]
    if (name === undefined)
      throw invalid(
        `column ${given}: is none of device, name, lot, tags, serial${didYouMean(given, Object.keys(columns))}`,
      )
    return name
  })
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw invalid(`column ${twice}: is there twice`)
  if (!names.includes('deviceId')) throw invalid('there is no column device')
  return names
}

export function createImports(options: ImportsOptions): Imports {
  const { repository, changes, credentials, now } = options

  function create(
    by: By,
    { deviceId, name, lotId, tags, serial }: Wanted,
    {
      issue,
      credential,
      fromMs,
    }: { issue: ImportIssue; credential: PreparedCredential | undefined; fromMs: number },
  ): { changes: Change[]; enrolKey?: string } {
    const atMs = now()
    const device: Device = {
      deviceId,
      name,
      state: credential === undefined ? 'registered' : 'enrolled',
      registeredAtMs: atMs,
      tags,
    }
    const assignments = lotId === undefined ? [] : assign([], { deviceId, lotId, fromMs })
    const { actor } = by
    const audit = {
      actor,
      verb: 'device.registered',
      subject: deviceId,
      after: { device, assignments },
    } as const
    const registered: Change = {
      audit,
      newClient: credential?.client ?? deviceClient(deviceId, name),
      device,
      assignments,
      ...(credential === undefined
        ? {}
        : { newCredential: { ...credential.stored, oauthClientId: deviceId } }),
    }
    if (issue !== 'enrol-key') return { changes: [registered] }
    const key = options.makeKeyText()
    const enrolKey: EnrolKey = {
      enrolKeyId: options.newId('key'),
      name,
      tags: [],
      usesMax: 1,
      uses: 0,
      createdAtMs: atMs,
      expiresAtMs: atMs + enrolKeyLifeMs,
      approval: 'automatic',
      deviceId,
      ...(serial === undefined ? {} : { serials: [serial] }),
      revokedAtMs: null,
    }
    const made = { actor, verb: 'enrol_key.made', subject: enrolKey.enrolKeyId, after: enrolKey } as const
    return {
      changes: [registered, { audit: made, enrolKey: { ...enrolKey, digest: options.hash(key) } }],
      enrolKey: key,
    }
  }

  async function verdictsOn(
    by: By,
    rows: readonly Judged[],
    { dryRun, issue, fromMs }: { dryRun: boolean; issue: ImportIssue; fromMs: number },
    lots: readonly string[],
  ): Promise<ImportVerdict[]> {
    // Secrets are made before the change: it holds up everybody else.
    const prepared = new Map<string, PreparedCredential>()
    for (const row of rows) {
      if ('faults' in row || issue !== 'secret' || dryRun) continue
      if ((await repository.findClient(row.deviceId)) !== undefined) continue
      prepared.set(row.deviceId, await credentials.newCredentialFor(deviceClient(row.deviceId, row.name), {}))
    }
    return changes.make(by, async (view) => {
      const verdicts: ImportVerdict[] = []
      const committed: Change[] = []
      for (const row of rows) {
        const { line } = row
        const known = 'faults' in row ? undefined : await view.findClient(row.deviceId)
        const faults =
          'faults' in row ? row.faults : await faultsOf(view, row, known !== undefined, lots, now())
        const { deviceId } = row
        if (faults.length > 0) {
          verdicts.push({ line, ...(deviceId === undefined ? {} : { deviceId }), verdict: 'error', faults })
          continue
        }
        if ('faults' in row) continue
        if (known !== undefined) {
          verdicts.push({ line, deviceId: row.deviceId, verdict: 'unchanged' })
          continue
        }
        const credential = prepared.get(row.deviceId)
        const made = dryRun ? { changes: [] } : create(by, row, { issue, credential, fromMs })
        committed.push(...made.changes)
        verdicts.push({
          line,
          deviceId: row.deviceId,
          verdict: 'created',
          ...(credential === undefined ? {} : { credential: credential.file }),
          ...('enrolKey' in made && made.enrolKey !== undefined ? { enrolKey: made.enrolKey } : {}),
        })
      }
      return { changes: committed, answer: verdicts }
    })
  }

  return {
    async *run({ actor }, rows, terms) {
      // All of a file count from one instant on: a lot whose devices came one by one has as many pasts to be added up.
      const fromMs = now()
      const lots = (await repository.lots()).map(({ lotId }) => lotId)
      const seen = new Map<string, number>()
      const summary = { created: 0, unchanged: 0, errors: 0 }
      let waiting: Judged[] = []
      const settle = async () => {
        await terms.mayGoOn()
        const verdicts = await verdictsOn({ actor }, waiting, { ...terms, fromMs }, lots)
        waiting = []
        for (const { verdict } of verdicts) summary[verdict === 'error' ? 'errors' : verdict]++
        return verdicts
      }
      for await (const row of rows) {
        const judged = judge(row)
        const { deviceId, line } = judged
        const before = deviceId === undefined ? undefined : seen.get(deviceId)
        if (deviceId !== undefined && before === undefined) seen.set(deviceId, line)
        waiting.push(
          before === undefined
            ? judged
            : { line, faults: [`column device: ${deviceId} is in line ${before} already`] },
        )
        if (waiting.length >= committedAtOnce) yield* await settle()
      }
      if (waiting.length > 0) yield* await settle()
      yield { summary }
    },
  }
}

const identifier = Compile(Identifier)
const nameText = Compile(Name)
const tagList = Compile(Tags)

/** What a row says, by itself. */
function judge({ line, cells }: ImportRow): Judged {
  const of = (column: string) => cells[column]?.trim() || undefined
  const deviceId = of('deviceId')
  const name = of('name') ?? deviceId ?? ''
  const tags = (of('tags') ?? '').split(/[\s;]+/).filter((tag) => tag !== '')
  const serial = of('serial')
  const faults = [
    ...(deviceId === undefined || !identifier.Check(deviceId)
      ? ['column device: is no identifier: letters, digits, _ and -, at most 64']
      : []),
    ...(deviceId === undefined || nameText.Check(name) ? [] : ['column name: is longer than 200 characters']),
    ...(tagList.Check(tags)
      ? []
      : ['column tags: at most 32, each of letters, digits and _ . : -, none twice, with spaces between']),
    ...(serial === undefined || serial.length <= 64 ? [] : ['column serial: is longer than 64 characters']),
  ]
  if (faults.length > 0 || deviceId === undefined) return { line, faults }
  return { line, deviceId, name, lotId: of('lotId'), tags, serial }
}

/** What is wrong with a row as the registry stands. */
async function faultsOf(
  view: RegistryView,
  { deviceId, name, lotId, tags }: Wanted,
  isTaken: boolean,
  lots: readonly string[],
  nowMs: number,
): Promise<string[]> {
  if (lotId !== undefined && !lots.includes(lotId))
    return [`column lot: ${lotId} is no lot${didYouMean(lotId, [...lots])}`]
  if (!isTaken) return []
  const device = await view.findDevice(deviceId)
  if (device === undefined) return [`column device: ${deviceId} is a client that is no device`]
  const lot = (await view.assignmentsOf(deviceId)).findLast((one) => holdsAt(one, nowMs))?.lotId
  const differs = [
    ...(device.name === name ? [] : ['name']),
    ...(isDeepStrictEqual(device.tags.toSorted(), tags.toSorted()) ? [] : ['tags']),
    ...(lotId === undefined || lot === lotId ? [] : ['lot']),
  ]
  return differs.length === 0
    ? []
    : [`column device: ${deviceId} is there already, with another ${differs.join(', ')}`]
}
