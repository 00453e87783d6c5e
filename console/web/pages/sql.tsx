/** One SELECT over the views of ingest, with their columns beside it and examples to begin with. */
import { useState } from 'preact/hooks'
import { useApp } from '../app-state.ts'
import { useDoing, useLoad } from '../load.ts'
import { localZone } from '../lots.ts'
import { useParameters } from '../parameters.ts'
import { ExportJobs } from '../parts/export-jobs.tsx'
import { Field } from '../parts/form.tsx'
import { Fault } from '../parts/notices.tsx'
import { saveFile } from '../parts/secret.tsx'
import { type Column, Table } from '../parts/table.tsx'
import { counted, dash } from '../words.ts'

type Views = Readonly<Record<string, Readonly<Record<string, string>>>>
type Row = Readonly<Record<string, unknown>>

interface SqlAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly rows: readonly Row[]
  readonly rowCount: number
}

const examples = [
  {
    name: 'The fullest hours',
    sql: "SELECT lotId, time_bucket(INTERVAL '1 hour', time) AS hour, avg(occupied) AS taken\nFROM readings\nWHERE time >= now() - INTERVAL '7 days'\nGROUP BY ALL ORDER BY taken DESC LIMIT 20",
  },
  {
    name: 'Share of spaces taken, by weekday',
    sql: 'SELECT lots.name, dayname(time) AS weekday, avg(occupied) / any_value(lots.capacity) AS share\nFROM readings JOIN lots USING (lotId)\nGROUP BY ALL ORDER BY ALL',
  },
  {
    name: 'How late readings are',
    sql: 'SELECT deviceId, count(*) AS readings, quantile_cont(receivedAt - time, 0.95) AS p95\nFROM readings GROUP BY ALL ORDER BY p95 DESC',
  },
] as const

const shownMax = 1000

export function Sql() {
  const { api } = useApp()
  const doing = useDoing()
  const [parameters, setParameters] = useParameters()
  const [sql, setSql] = useState<string>(parameters.sql ?? examples[0].sql)
  const [answer, setAnswer] = useState<SqlAnswer>()
  const views = useLoad('views', (signal) => api.get<Views>('/api/sql-views', { signal }))
  const run = async (event: Event) => {
    event.preventDefault()
    setParameters({ sql })
    setAnswer(undefined)
    await doing.run(async () => {
      setAnswer(await api.post<SqlAnswer>('/api/ingest/v1/sql', { body: { sql, tz: localZone } }))
    })
  }
  const save = (format: 'csv' | 'parquet') =>
    doing.run(async () => {
      const response = await api.response('POST', '/api/ingest/v1/sql', {
        body: { sql, tz: localZone, format },
      })
      saveFile(`answer.${format}`, await response.arrayBuffer(), response.headers.get('content-type') ?? '')
    })
  return (
    <div class="stack">
      <div class="two">
        <form class="panel stack" onSubmit={run}>
          <Field label="One SELECT" hint="In the words of DuckDB, at most some 15 seconds behind.">
            <textarea
              class="mono"
              rows={9}
              spellcheck={false}
              required
              value={sql}
              onInput={(event) => setSql(event.currentTarget.value)}
            />
          </Field>
          <div class="row">
            <button type="submit" class="main" disabled={doing.isBusy}>
              Run
            </button>
            <button type="button" disabled={doing.isBusy} onClick={() => void save('csv')}>
              CSV
            </button>
            <button type="button" disabled={doing.isBusy} onClick={() => void save('parquet')}>
              Parquet
            </button>
          </div>
          <div class="stack tight">
            <span class="soft small">Examples</span>
            <div class="row">
              {examples.map((example) => (
                <button key={example.name} type="button" class="chip" onClick={() => setSql(example.sql)}>
                  {example.name}
                </button>
              ))}
            </div>
          </div>
        </form>
        <section class="panel stack tight" aria-labelledby="views">
          <h2 id="views">What can be asked</h2>
          {Object.entries(views.value ?? {}).map(([view, columns], i) => (
            <details key={view} open={i === 0}>
              <summary>
                <code>{view}</code>{' '}
                <span class="soft small">{counted(Object.keys(columns).length, 'column')}</span>
              </summary>
              <dl class="facts small">
                {Object.entries(columns).map(([column, meaning]) => (
                  <>
                    <dt key={`${column} name`}>
                      <code>{column}</code>
                    </dt>
                    <dd key={column}>{meaning}</dd>
                  </>
                ))}
              </dl>
            </details>
          ))}
        </section>
      </div>
      <Fault problem={doing.problem} />
      <ExportJobs title="All of a long answer, as one file" request={{ sql, tz: localZone }} />
      {answer !== undefined && (
        <section class="stack tight" aria-label="Answer">
          <p role="status" class="soft">
            {counted(answer.rowCount, 'row')}
            {answer.rowCount > shownMax && `; the first ${shownMax} are shown, a file has all`}
          </p>
          {answer.rows.length > 0 && (
            <Table
              label="Answer"
              rows={answer.rows.slice(0, shownMax).map((row, i) => ({ row, i }))}
              keyOf={({ i }) => String(i)}
              columns={columnsOf(answer)}
            />
          )}
        </section>
      )}
    </div>
  )
}

interface Numbered {
  readonly row: Row
  readonly i: number
}

function columnsOf({ columns }: SqlAnswer): readonly Column<Numbered>[] {
  return columns.map(({ name, type }) => ({
    name,
    head: name,
    ...(/INT|DOUBLE|DECIMAL|FLOAT/.test(type) ? { align: 'end' as const } : {}),
    by: ({ row }) => sortable(row[name]),
    cell: ({ row }) => shownOf(row[name]),
  }))
}

function sortable(value: unknown): string | number | null {
  if (value === null || value === undefined) return null
  return typeof value === 'number' ? value : shownOf(value)
}

function shownOf(value: unknown): string {
  if (value === null || value === undefined) return dash
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toFixed(3)
  return typeof value === 'string' ? value : JSON.stringify(value)
}
