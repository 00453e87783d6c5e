/** Long exports: ingest writes a file by itself, however long that takes, and keeps it for a while to be fetched. */
import { useState } from 'preact/hooks'
import type { ExportJob, ExportRequest } from '../../../core/contract/sql.ts'
import { useApp } from '../app-state.ts'
import { useDoing, useLoad, useNow } from '../load.ts'
import { ago, bytes, counted, parseTime, type Tone } from '../words.ts'
import { Badge, Fault } from './notices.tsx'
import { Table } from './table.tsx'

const path = '/api/ingest/v1/exports'
const tones: Readonly<Record<ExportJob['state'], Tone>> = {
  waiting: 'idle',
  running: 'idle',
  done: 'good',
  failed: 'bad',
}

export function ExportJobs({ title, request }: { title: string; request: Omit<ExportRequest, 'format'> }) {
  const { api } = useApp()
  const doing = useDoing()
  const nowMs = useNow()
  const [format, setFormat] = useState<ExportJob['format']>('parquet')
  const [isUnderWay, setUnderWay] = useState(false)
  const jobs = useLoad(
    'exports',
    async (signal) => {
      const { exports } = await api.get<{ exports: ExportJob[] }>(path, { signal })
      setUnderWay(exports.some(({ state }) => state === 'waiting' || state === 'running'))
      return exports
    },
    isUnderWay ? { everyMs: 1500 } : {},
  )
  const make = async (event: Event) => {
    event.preventDefault()
    await doing.run(
      () => api.post(path, { body: { ...request, format } }),
      'The file is being made. You may leave this page meanwhile.',
    )
    await jobs.reload()
  }
  const remove = async (id: string) => {
    await doing.run(() => api.delete(`${path}/${id}`), 'The file is removed.')
    await jobs.reload()
  }
  return (
    <section class="stack tight" aria-label={title}>
      <form class="row spread" onSubmit={make}>
        <h3>{title}</h3>
        <div class="row">
          <select
            aria-label="Format of the file"
            value={format}
            onChange={(event) => setFormat(event.currentTarget.value as ExportJob['format'])} // the options have no other
          >
            <option value="parquet">Parquet</option>
            <option value="csv">CSV</option>
            <option value="csv-excel">CSV for Excel</option>
            <option value="ndjson">NDJSON</option>
          </select>
          <button type="submit" disabled={doing.isBusy}>
            Make the file
          </button>
        </div>
      </form>
      <Fault problem={doing.problem ?? jobs.problem} />
      {(jobs.value ?? []).length > 0 && (
        <Table
          label="Files made for you"
          rows={jobs.value ?? []}
          keyOf={({ id }) => id}
          columns={[
            { name: 'asked', head: 'Asked for', cell: (job) => ago(parseTime(job.createdAt), nowMs) },
            { name: 'format', head: 'Format', cell: ({ format }) => format },
            { name: 'state', head: 'State', cell: (job) => <State job={job} /> },
            {
              name: 'content',
              head: 'Content',
              cell: ({ rows, bytes: size, detail }) =>
                rows === null ? (detail ?? '') : `${counted(rows, 'row')}, ${bytes(size)}`,
            },
            {
              name: 'act',
              head: 'Action',
              cell: ({ id, state, expiresAt }) => (
                <span class="row">
                  {state === 'done' && (
                    <a class="button" href={`${path}/${id}/file`} download title={`Kept until ${expiresAt}`}>
                      Fetch
                    </a>
                  )}
                  <button type="button" class="plain" onClick={() => void remove(id)}>
                    {state === 'done' || state === 'failed' ? 'Remove' : 'Stop'}
                  </button>
                </span>
              ),
            },
          ]}
        />
      )}
    </section>
  )
}

function State({ job: { state, progress } }: { job: ExportJob }) {
  return <Badge tone={tones[state]}>{state === 'running' ? `${progress} %` : state}</Badge>
}
