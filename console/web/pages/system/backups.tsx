/** Backups of readings: those there are, and one more, made while writing goes on. */
import type { BackupManifest } from '../../../../core/contract/backup.ts'
import { useApp } from '../../app-state.ts'
import { useDoing, useLoad, useNow } from '../../load.ts'
import { Empty, Fault, Waiting } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { ago, bytes, number } from '../../words.ts'

const path = '/api/ingest/v1/backups'

export function Backups() {
  const { api } = useApp()
  const doing = useDoing()
  const nowMs = useNow()
  const all = useLoad('backups', (signal) => api.get<{ backups: BackupManifest[] }>(path, { signal }))
  const make = async () => {
    await doing.run(() => api.post(path), 'The backup is made, and was compared with what is stored.')
    await all.reload()
  }
  const backups = all.value?.backups ?? []
  return (
    <section class="stack">
      <div class="row spread">
        <p class="soft">
          Copies of all readings, of one moment, in <code>backups/</code> of the data folder. Keep some on
          another disk.
        </p>
        <button type="button" class="main" disabled={doing.isBusy} onClick={() => void make()}>
          {doing.isBusy ? 'Copying …' : 'Make a backup'}
        </button>
      </div>
      <Fault problem={doing.problem ?? all.problem} retry={all.reload} />
      {all.value === undefined && all.problem === undefined && <Waiting what="backups" />}
      {all.value !== undefined && backups.length === 0 && (
        <Empty title="There are no backups yet">
          <p>One can be made while devices go on sending. By a timer, each night:</p>
          <pre>npx lotctl backup create</pre>
        </Empty>
      )}
      {backups.length > 0 && (
        <>
          <Table
            label="Backups"
            rows={backups}
            keyOf={({ name }) => name}
            sortedBy="made"
            descending
            columns={[
              {
                name: 'name',
                head: 'Backup',
                by: ({ name }) => name,
                cell: ({ name }) => <code>{name}</code>,
              },
              {
                name: 'made',
                head: 'Made',
                by: ({ madeAtMs }) => madeAtMs,
                cell: ({ madeAtMs }) => ago(madeAtMs, nowMs),
              },
              {
                name: 'readings',
                head: 'Readings',
                align: 'end',
                by: readingsOf,
                cell: (backup) => number(readingsOf(backup)),
              },
              {
                name: 'size',
                head: 'Size',
                align: 'end',
                by: ({ file }) => file.bytes,
                cell: ({ file }) => bytes(file.bytes),
              },
            ]}
          />
          <p class="soft small">
            To look whether one is whole:{' '}
            <code>npx lotctl backup verify data/backups/{backups[0]?.name}</code>. To put it back, with ingest
            stopped: <code>npx lotctl backup restore …</code>
          </p>
        </>
      )}
    </section>
  )
}

function readingsOf({ tables }: BackupManifest): number | undefined {
  return tables.find(({ table }) => table === 'readings')?.rows
}
