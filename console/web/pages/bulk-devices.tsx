/** What is done to all the devices that were chosen: asked once, with a verdict for each. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { useApp } from '../app-state.ts'
import { actOnAll, type BulkAction, type BulkVerdict } from '../bulk.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Field } from '../parts/form.tsx'
import { LotSelect } from '../parts/lot-select.tsx'
import { Badge } from '../parts/notices.tsx'
import { Table } from '../parts/table.tsx'
import { counted, number, type Tone } from '../words.ts'

export type Bulk = BulkAction['what']

const actions: Readonly<
  Record<Bulk, { readonly text: string; readonly about: string; readonly isDanger?: true }>
> = {
  suspend: {
    text: 'Suspend',
    about:
      'They get no tokens and their connections are closed within a second. What they count waits on them.',
    isDanger: true,
  },
  resume: { text: 'Resume', about: 'They may get tokens again and come back by themselves.' },
  tag: { text: 'Tag', about: 'Tags narrow lists, questions and exports.' },
  untag: { text: 'Untag', about: 'Tags narrow lists, questions and exports.' },
  assign: {
    text: 'Move to a lot',
    about: 'From now on. What they counted before stays where it was counted.',
  },
  kick: { text: 'Close connections', about: 'They come back by themselves; nothing is lost.' },
  retire: {
    text: 'Retire',
    about:
      'For good: their credentials are void and their identifiers are never given again. Their readings stay.',
    isDanger: true,
  },
}

export function BulkBar({
  count,
  ask,
  clear,
}: {
  count: number
  ask: (what: Bulk) => void
  clear: () => void
}) {
  return (
    <fieldset class="row bulk">
      <legend class="sr">With the chosen devices</legend>
      <b role="status">{counted(count, 'device')} chosen</b>
      {Object.entries(actions).map(([what, { text, isDanger }]) => (
        <button
          key={what}
          type="button"
          class={isDanger === true ? 'danger' : undefined}
          onClick={() => ask(what as Bulk)} // a key of the table
        >
          {text}
        </button>
      ))}
      <button type="button" class="plain" onClick={clear}>
        Choose none
      </button>
    </fieldset>
  )
}

const tones: Readonly<Record<BulkVerdict['verdict'], Tone>> = {
  done: 'good',
  unchanged: 'idle',
  error: 'bad',
}
const namedMax = 6

export function BulkDialog({
  what,
  deviceIds,
  close,
}: {
  what: Bulk
  deviceIds: readonly string[]
  close: () => void
}) {
  const { api } = useApp()
  const [input, setInput] = useState('')
  const [verdicts, setVerdicts] = useState<readonly BulkVerdict[]>()
  const [isBusy, setBusy] = useState(false)
  const leaving = useRef(new AbortController())
  useEffect(() => () => leaving.current.abort(), [])
  const { text, about, isDanger } = actions[what]
  const devices = deviceIds.length === 1 ? (deviceIds[0] ?? '') : counted(deviceIds.length, 'device')
  const run = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    const all: BulkVerdict[] = []
    setVerdicts([])
    await actOnAll(api, deviceIds, actionOf(what, input), {
      signal: leaving.current.signal,
      decided(verdict) {
        all.push(verdict)
        setVerdicts([...all])
      },
    }).finally(() => setBusy(false))
  }
  const count = (verdict: BulkVerdict['verdict']) =>
    (verdicts ?? []).filter((one) => one.verdict === verdict).length
  const stop = () => {
    leaving.current.abort()
    close()
  }

  if (verdicts !== undefined)
    return (
      <Dialog title={`${text}: ${devices}`} close={stop} wide>
        <p role="status">
          {isBusy ? `${number(verdicts.length)} of ${number(deviceIds.length)} so far` : 'All have an answer'}
          : {count('done')} done, {count('unchanged')} unchanged, {count('error')} refused.
        </p>
        <Table
          label="Verdicts"
          height="40vh"
          rows={verdicts}
          keyOf={({ deviceId }) => deviceId}
          columns={[
            { name: 'device', head: 'Device', by: (row) => row.deviceId, cell: (row) => row.deviceId },
            {
              name: 'verdict',
              head: 'Verdict',
              by: (row) => row.verdict,
              cell: ({ verdict }) => <Badge tone={tones[verdict]}>{verdict}</Badge>,
            },
            { name: 'detail', head: 'Why', cell: ({ detail }) => detail ?? '' },
          ]}
        />
        <div class="row">
          <button type="button" class="main" onClick={stop}>
            {isBusy ? 'Stop here' : 'Done'}
          </button>
        </div>
      </Dialog>
    )
  return (
    <Dialog title={`${text}: ${devices}`} close={close}>
      <form class="stack" onSubmit={run}>
        <p>{about}</p>
        <p class="small soft">
          {deviceIds.slice(0, namedMax).join(', ')}
          {deviceIds.length > namedMax && ` and ${number(deviceIds.length - namedMax)} more`}
        </p>
        {(what === 'tag' || what === 'untag') && (
          <Field label="Tag" hint="Letters, digits and _ . : -">
            <input
              required
              maxLength={64}
              value={input}
              onInput={(event) => setInput(event.currentTarget.value.trim())}
            />
          </Field>
        )}
        {what === 'assign' && (
          <Field label="Lot">
            <LotSelect required value={input} none="choose one" choose={setInput} />
          </Field>
        )}
        <div class="row">
          <button type="submit" class={isDanger === true ? 'danger' : 'main'}>
            {text}: {devices}
          </button>
          <button type="button" onClick={close}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function actionOf(what: Bulk, input: string): BulkAction {
  switch (what) {
    case 'tag':
    case 'untag':
      return { what, tag: input }
    case 'assign':
      return { what, lotId: input }
    default:
      return { what }
  }
}
