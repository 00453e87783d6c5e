/** The question behind a chart, as curl, lotctl, pandas and SQL have it; and its answer as a file. */
import { useState } from 'preact/hooks'
import { addressOf } from '../api.ts'
import { useApp } from '../app-state.ts'
import { queryOf, type SeriesQuestion, spellings } from '../ranges.ts'
import { ExportJobs } from './export-jobs.tsx'
import { Chips, Copy } from './form.tsx'

const files = [
  { format: 'csv', name: 'CSV' },
  { format: 'csv-excel', name: 'CSV for Excel' },
  { format: 'parquet', name: 'Parquet' },
] as const

export function ExportBox({ question }: { question: SeriesQuestion }) {
  const { me } = useApp()
  const all = spellings(question, me.urls.ingest)
  const [name, setName] = useState('curl')
  const text = all.find((one) => one.name === name)?.text ?? ''
  const { lots, from, to, every, zone } = question
  const file = (format: string) => addressOf('/api/ingest/v1/series', { ...queryOf(question), format })
  const time = to === undefined ? from.replace(/^-/, 'last-') : `${from}-${to}`.replaceAll(':', '')
  const fileName = `${lots.length === 1 ? lots[0] : 'lots'}-${time}-${every}-${zone.replaceAll('/', '_')}`
  return (
    <section class="panel stack" aria-labelledby="export">
      <div class="row spread">
        <h2 id="export">Take it with you</h2>
        <div class="row">
          {files.map(({ format, name }) => (
            <a
              key={format}
              class="button"
              href={file(format)}
              download={`${fileName}.${format.replace('csv-excel', 'csv')}`}
            >
              {name}
            </a>
          ))}
        </div>
      </div>
      <div class="row spread">
        <Chips
          label="Written as"
          options={all.map((one) => ({ value: one.name, text: one.name }))}
          chosen={name}
          choose={setName}
        />
        <Copy text={text} what={name} />
      </div>
      <pre>{text}</pre>
      <ExportJobs
        title="Every reading of this time, as one file"
        request={{ lot: [...lots], from, ...(to === undefined ? {} : { to }), tz: zone }}
      />
    </section>
  )
}
