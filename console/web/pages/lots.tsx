/** All lots in a table, and where operators register one. */
import { useState } from 'preact/hooks'
import { slugOf } from '../../../core/contract/device.ts'
import type { LatestRow } from '../../../core/contract/query.ts'
import { mayAs, useApp } from '../app-state.ts'
import { useDoing, useLoad, useNow } from '../load.ts'
import { askLatest, localZone, lotStates } from '../lots.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Field, Search, WholeNumber } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { ago, counted, number, parseTime } from '../words.ts'

export function LotsPage() {
  const { api, me } = useApp()
  const latest = useLoad('latest', (signal) => askLatest(api, signal), { everyMs: 10_000 })
  const [search, setSearch] = useState('')
  const [isNew, setNew] = useState(false)
  const nowMs = useNow()
  const rows = (latest.value?.rows ?? []).filter(({ name, lotId }) =>
    `${name} ${lotId}`.toLowerCase().includes(search.trim().toLowerCase()),
  )
  return (
    <>
      <Head
        title="Lots"
        about={latest.value === undefined ? undefined : counted(latest.value.rows.length, 'lot')}
      >
        <Search label="Search lots" placeholder="Search lots  /" width={13} value={search} type={setSearch} />
        {mayAs(me, 'operator') && (
          <button type="button" class="main" onClick={() => setNew(true)}>
            New lot
          </button>
        )}
      </Head>
      <div class="stack">
        <Fault problem={latest.problem} retry={latest.reload} />
        {latest.value === undefined && latest.problem === undefined && <Waiting what="lots" />}
        {latest.value?.rows.length === 0 && (
          <Empty title="There are no lots yet">
            <p>
              A lot has a name and, since when, so many spaces. Devices count for it once they are assigned.
            </p>
          </Empty>
        )}
        {rows.length > 0 && (
          <Table
            label="Lots"
            columns={columnsAt(nowMs)}
            rows={rows}
            keyOf={(row) => row.lotId}
            sortedBy="name"
          />
        )}
      </div>
      {isNew && (
        <NewLot
          close={() => {
            setNew(false)
            void latest.reload()
          }}
        />
      )}
    </>
  )
}

const columnsAt = (nowMs: number): readonly Column<LatestRow>[] => [
  {
    name: 'name',
    head: 'Lot',
    by: (row) => row.name,
    cell: (row) => <a href={`/lots/${row.lotId}`}>{row.name}</a>,
  },
  {
    name: 'state',
    head: 'State',
    by: (row) => row.state,
    cell: (row) => <Badge tone={lotStates[row.state].tone}>{lotStates[row.state].word}</Badge>,
  },
  { name: 'free', head: 'Free', align: 'end', by: (row) => row.free, cell: (row) => number(row.free) },
  {
    name: 'taken',
    head: 'Taken',
    align: 'end',
    by: (row) => row.occupied,
    cell: (row) => number(row.occupied),
  },
  {
    name: 'spaces',
    head: 'Spaces',
    align: 'end',
    by: (row) => row.capacity,
    cell: (row) => number(row.capacity),
  },
  {
    name: 'heard',
    head: 'Last heard',
    by: (row) => parseTime(row.time),
    cell: (row) => ago(parseTime(row.time), nowMs),
  },
]

function NewLot({ close }: { close: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const [name, setName] = useState('')
  const [capacity, setCapacity] = useState('')
  const [zone, setZone] = useState(localZone)
  const [hours, setHours] = useState('')
  const lotId = slugOf(name) ?? ''
  const save = async (event: Event) => {
    event.preventDefault()
    const body = {
      name,
      zone,
      ...(hours.trim() === '' ? {} : { openingHours: hours.trim() }),
      capacities: capacity === '' ? [] : [{ fromMs: 0, capacity: Number(capacity) }],
    }
    const path = `/api/provisioning/v1/lots/${encodeURIComponent(lotId)}`
    if (
      await doing.run(
        () => api.put(path, { body, headers: { 'if-none-match': '*' } }),
        `${name} is registered.`,
      )
    )
      close()
  }
  return (
    <Dialog title="New lot" close={close}>
      <form class="stack" onSubmit={save}>
        <Field label="Name" hint={lotId === '' ? 'As people call it.' : <>Its identifier will be {lotId}.</>}>
          <input required value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <WholeNumber
          label="Spaces"
          hint="Empty when nobody knows."
          min={0}
          value={capacity}
          change={setCapacity}
        />
        <Field label="Time zone" hint="Of its days and hours, such as Europe/Athens.">
          <input required value={zone} onInput={(event) => setZone(event.currentTarget.value)} />
        </Field>
        <Field
          label="Opening hours"
          hint="Such as Mo-Fr 06:00-22:00; Sa 08:00-20:00. Empty when it is always open."
        >
          <input value={hours} onInput={(event) => setHours(event.currentTarget.value)} />
        </Field>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy || lotId === ''}>
            Register
          </button>
        </div>
      </form>
    </Dialog>
  )
}
