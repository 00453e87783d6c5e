/** Devices: all of them in one table, narrowed by their state, by lot or by name; registered one by one or from a file. */
import { useMemo, useState } from 'preact/hooks'
import type { LotRow } from '../../../core/contract/query.ts'
import { useApp } from '../app-state.ts'
import { askFleet, clockWords, type FleetRow, toneOfWord, type Word } from '../fleet.ts'
import { useLoad, useNow } from '../load.ts'
import { useParameters } from '../parameters.ts'
import { Chips, Search } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { ago, counted, dash, number, span } from '../words.ts'
import { type Bulk, BulkBar, BulkDialog } from './bulk-devices.tsx'
import { ImportDevices } from './import-devices.tsx'
import { NewDevice } from './new-device.tsx'

const none: ReadonlySet<string> = new Set()
/** So many are asked for less often. */
const largeFleet = 2000

export function DevicesPage() {
  const { api } = useApp()
  const [parameters, setParameters] = useParameters()
  const { state = '', search = '', lot = '' } = parameters
  const [isLarge, setLarge] = useState(false)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(none)
  const [bulk, setBulk] = useState<Bulk>()
  const fleet = useLoad(
    'fleet',
    async (signal) => {
      const [rows, lots] = await Promise.all([
        askFleet(api, signal),
        api.get<{ rows: LotRow[] }>('/api/ingest/v1/lots', { signal }),
      ])
      return { rows, lotOf: lotsByDevice(lots.rows) }
    },
    { everyMs: isLarge ? 60_000 : 10_000 },
  )
  const nowMs = useNow()
  const rows = fleet.value?.rows ?? []
  if (rows.length > largeFleet && !isLarge) setLarge(true)
  const lotOf = fleet.value?.lotOf
  const counts = useMemo(() => countWords(rows), [rows])
  const shown = useMemo(
    () => rows.filter((row) => fits(row, { state, search, lot }, lotOf)),
    [rows, state, search, lot, lotOf],
  )
  // Nothing is done to what is not shown.
  const chosenShown = useMemo(
    () => shown.map(({ device }) => device.deviceId).filter((deviceId) => chosen.has(deviceId)),
    [shown, chosen],
  )
  const columns = useMemo(() => columnsAt(nowMs, lotOf), [nowMs, lotOf])
  return (
    <>
      <Head title="Devices" about={fleet.value === undefined ? undefined : counted(rows.length, 'device')}>
        <Search
          label="Search devices"
          placeholder="Search devices  /"
          value={search}
          type={(text) => setParameters({ search: text })}
        />
        <button type="button" onClick={() => setParameters({ import: '1' })}>
          Import
        </button>
        <button type="button" class="main" onClick={() => setParameters({ new: '1' })}>
          New device
        </button>
      </Head>
      <div class="stack">
        <Fault problem={fleet.problem} retry={fleet.reload} />
        {fleet.value === undefined && fleet.problem === undefined && <Waiting what="devices" />}
        {rows.length > 0 && (
          <div class="row">
            <Chips
              label="State"
              chosen={state}
              choose={(value) => setParameters({ state: value })}
              options={[
                { value: '', text: `all ${number(rows.length)}` },
                ...counts.map(([word, count]) => ({
                  value: word as string,
                  text: `${word} ${number(count)}`,
                })),
              ]}
            />
            {lot !== '' && (
              <button
                type="button"
                class="chip"
                aria-pressed="true"
                onClick={() => setParameters({ lot: '' })}
              >
                of {lot} ✕
              </button>
            )}
          </div>
        )}
        {fleet.value !== undefined && rows.length === 0 && (
          <NoDevices add={() => setParameters({ new: '1' })} />
        )}
        {rows.length > 0 && shown.length === 0 && (
          <Empty title="No device is like that">
            <button type="button" onClick={() => setParameters({ state: '', search: '', lot: '' })}>
              Show all
            </button>
          </Empty>
        )}
        {chosenShown.length > 0 && (
          <BulkBar count={chosenShown.length} ask={setBulk} clear={() => setChosen(none)} />
        )}
        {shown.length > 0 && (
          <Table
            label="Devices"
            columns={columns}
            rows={shown}
            keyOf={({ device }) => device.deviceId}
            sortedBy="device"
            choice={{ chosen, choose: setChosen }}
          />
        )}
      </div>
      {bulk !== undefined && (
        <BulkDialog
          what={bulk}
          deviceIds={chosenShown}
          close={() => {
            setBulk(undefined)
            void fleet.reload()
          }}
        />
      )}
      {parameters.new !== undefined && (
        <NewDevice
          close={() => {
            setParameters({ new: undefined })
            void fleet.reload()
          }}
        />
      )}
      {parameters.import !== undefined && (
        <ImportDevices
          close={() => {
            setParameters({ import: undefined })
            void fleet.reload()
          }}
        />
      )}
    </>
  )
}

function lotsByDevice(lots: readonly LotRow[]): ReadonlyMap<string, LotRow> {
  return new Map(lots.flatMap((lot) => lot.devices.map((deviceId) => [deviceId, lot] as const)))
}

/** The worst first. */
const wordOrder: readonly Word[] = [
  'offline',
  'not connected',
  'silent sensor',
  'late',
  'never seen',
  'online',
  'connected',
  'suspended',
  'retired',
]

function countWords(rows: readonly FleetRow[]): readonly (readonly [Word, number])[] {
  const counts = new Map<Word, number>()
  for (const { word } of rows) counts.set(word, (counts.get(word) ?? 0) + 1)
  return wordOrder.flatMap((word) => {
    const count = counts.get(word)
    return count === undefined ? [] : [[word, count] as const]
  })
}

function fits(
  { device, word }: FleetRow,
  { state, search, lot }: { state: string; search: string; lot: string },
  lotOf: ReadonlyMap<string, LotRow> | undefined,
): boolean {
  if (state !== '' && word !== state) return false
  if (lot !== '' && lotOf?.get(device.deviceId)?.lotId !== lot) return false
  const text = `${device.deviceId} ${device.name} ${device.tags.join(' ')} ${lotOf?.get(device.deviceId)?.name ?? ''}`
  return text.toLowerCase().includes(search.trim().toLowerCase())
}

function columnsAt(
  nowMs: number,
  lotOf: ReadonlyMap<string, LotRow> | undefined,
): readonly Column<FleetRow>[] {
  return [
    {
      name: 'device',
      head: 'Device',
      by: ({ device }) => device.deviceId,
      cell: ({ device }) => <a href={`/devices/${device.deviceId}`}>{device.deviceId}</a>,
    },
    {
      name: 'state',
      head: 'State',
      by: ({ word }) => wordOrder.indexOf(word),
      cell: ({ word }) => <Badge tone={toneOfWord[word]}>{word}</Badge>,
    },
    {
      name: 'lot',
      head: 'Lot',
      by: ({ device }) => lotOf?.get(device.deviceId)?.name,
      cell: ({ device }) => lotOf?.get(device.deviceId)?.name ?? dash,
    },
    {
      name: 'seen',
      head: 'Last seen',
      by: ({ lastSeenMs }) => lastSeenMs,
      cell: ({ lastSeenMs, connection }) =>
        lastSeenMs === null
          ? dash
          : connection !== undefined && lastSeenMs === connection.connectedAtMs
            ? `connected ${ago(lastSeenMs, nowMs)}`
            : ago(lastSeenMs, nowMs),
    },
    {
      name: 'queue',
      head: 'Queue',
      align: 'end',
      by: ({ seen }) => seen?.queueReadings,
      cell: ({ seen }) => number(seen?.queueReadings),
    },
    {
      name: 'dropped',
      head: 'Dropped',
      align: 'end',
      by: ({ seen }) => seen?.dropped,
      cell: ({ seen }) => number(seen?.dropped),
    },
    {
      name: 'clock',
      head: 'Clock',
      by: ({ seen }) => seen?.clockOffsetMs,
      cell: ({ seen }) => clockWords(seen?.clock, seen?.clockOffsetMs),
    },
    {
      name: 'credential',
      head: 'Credential',
      by: ({ seen }) => seen?.credentialAgeSec,
      cell: ({ seen, connection, device }) =>
        seen?.credentialAgeSec !== null && seen?.credentialAgeSec !== undefined
          ? `${span(seen.credentialAgeSec)} old`
          : connection?.credentialId !== undefined
            ? 'in use'
            : device.state,
    },
    {
      name: 'version',
      head: 'Version',
      by: ({ seen }) => seen?.version,
      cell: ({ seen }) => seen?.version ?? dash,
    },
    {
      name: 'tags',
      head: 'Tags',
      by: ({ device }) => device.tags.join(' '),
      cell: ({ device }) => <span class="small soft">{device.tags.join(' ') || dash}</span>,
    },
  ]
}

function NoDevices({ add }: { add: () => void }) {
  return (
    <Empty title="There are no devices yet">
      <p>
        Register one here, hand out <a href="/enrolment">enrolment keys</a> so that boards register
        themselves, or let a simulated fleet try the system out:
      </p>
      <pre>npx lotctl demo</pre>
      <button type="button" class="main" onClick={add}>
        New device
      </button>
    </Empty>
  )
}
