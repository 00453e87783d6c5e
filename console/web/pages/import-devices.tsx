/** Devices from a CSV file: first what would become of each row, then for real, with a verdict for each. */
import { useState } from 'preact/hooks'
import type { ImportSummary, ImportVerdict } from '../../../core/contract/device-import.ts'
import { useApp } from '../app-state.ts'
import { useDoing } from '../load.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Field } from '../parts/form.tsx'
import { Badge, Fault } from '../parts/notices.tsx'
import { saveFile } from '../parts/secret.tsx'
import { Table } from '../parts/table.tsx'
import { counted, dash, type Tone } from '../words.ts'

interface Outcome {
  readonly isReal: boolean
  readonly verdicts: readonly ImportVerdict[]
  /** As it came, secrets included. */
  readonly text: string
}

const tones: Readonly<Record<ImportVerdict['verdict'], Tone>> = {
  created: 'good',
  unchanged: 'idle',
  error: 'bad',
}
const bytesMax = 64 * 1024 * 1024

export function ImportDevices({ close }: { close: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const [csv, setCsv] = useState<string>()
  const [issue, setIssue] = useState('none')
  const [outcome, setOutcome] = useState<Outcome>()

  const send = (content: string, isReal: boolean) =>
    doing.run(async () => {
      const answer = await api.response('POST', '/api/provisioning/v1/devices/import', {
        query: { dryRun: !isReal, issue: isReal ? issue : 'none' },
        text: { type: 'text/csv', content },
        headers: { accept: 'application/x-ndjson' },
      })
      const text = await answer.text()
      const lines = text.split('\n').filter((line) => line !== '')
      const rows = lines.map((line) => JSON.parse(line) as ImportVerdict | ImportSummary) // as the contract has them
      setOutcome({ isReal, text, verdicts: rows.filter((row): row is ImportVerdict => 'verdict' in row) })
    })
  const choose = async (file: File | undefined) => {
    if (file === undefined || file.size > bytesMax) return
    const content = await file.text()
    setCsv(content)
    await send(content, false)
  }
  const count = (verdict: ImportVerdict['verdict']) =>
    (outcome?.verdicts ?? []).filter((row) => row.verdict === verdict).length

  return (
    <Dialog title="Import devices" close={close} wide>
      <div class="stack">
        <Field
          label="CSV file"
          hint="With a header line; columns in any order: device, name, lot, tags (spaces between), serial. At most 64 MB."
        >
          <input
            type="file"
            accept=".csv,text/csv"
            onChange={(event) => void choose(event.currentTarget.files?.[0])}
          />
        </Field>
        <Fault problem={doing.problem} />
        {outcome !== undefined && (
          <>
            <p role="status">
              {outcome.isReal ? 'Done' : 'Preview, nothing is changed yet'}:{' '}
              {counted(count('created'), 'device')} {outcome.isReal ? 'registered' : 'to register'},{' '}
              {count('unchanged')} there already, {count('error')} with a fault.
            </p>
            <Table
              label="Verdicts"
              height="40vh"
              rows={outcome.verdicts}
              keyOf={({ line }) => String(line)}
              columns={[
                {
                  name: 'line',
                  head: 'Line',
                  align: 'end',
                  by: ({ line }) => line,
                  cell: ({ line }) => line,
                },
                {
                  name: 'device',
                  head: 'Device',
                  by: (row) => row.deviceId,
                  cell: (row) => row.deviceId ?? dash,
                },
                {
                  name: 'verdict',
                  head: 'Verdict',
                  by: ({ verdict }) => verdict,
                  cell: ({ verdict }) => <Badge tone={tones[verdict]}>{verdict}</Badge>,
                },
                { name: 'faults', head: 'Faults', cell: ({ faults }) => faults?.join('; ') ?? '' },
              ]}
            />
          </>
        )}
        {outcome !== undefined && !outcome.isReal && csv !== undefined && (
          <div class="row">
            <Field label="Each new device gets">
              <select value={issue} onChange={(event) => setIssue(event.currentTarget.value)}>
                <option value="none">nothing yet</option>
                <option value="enrol-key">an enrolment key</option>
                <option value="secret">a credential with a secret</option>
              </select>
            </Field>
            <button
              type="button"
              class="main"
              disabled={doing.isBusy || count('created') === 0}
              onClick={() => void send(csv, true)}
            >
              Register {counted(count('created'), 'device')}
            </button>
          </div>
        )}
        {outcome?.isReal === true && (
          <div class="row">
            <button
              type="button"
              onClick={() => saveFile('devices.ndjson', outcome.text, 'application/x-ndjson')}
            >
              Save the verdicts{issue === 'none' ? '' : ' with what was issued, shown this once'}
            </button>
            <button type="button" class="main" onClick={close}>
              Done
            </button>
          </div>
        )}
      </div>
    </Dialog>
  )
}
