/** Forms of what a device gets: another credential, another lot, a configuration, a command. */
import { useState } from 'preact/hooks'
import type { IssuedCredential } from '../../../../core/contract/client.ts'
import type { Command } from '../../../../core/contract/downlink.ts'
import { useApp } from '../../app-state.ts'
import { useDoing } from '../../load.ts'
import { Dialog } from '../../parts/dialog.tsx'
import { Field, WholeNumber } from '../../parts/form.tsx'
import { LotSelect } from '../../parts/lot-select.tsx'
import { Fault } from '../../parts/notices.tsx'
import { Secret } from '../../parts/secret.tsx'
import { useDesired } from './shown.ts'

interface AskProps {
  readonly deviceId: string
  readonly path: string
  readonly close: () => void
}

const graces = [
  { value: 0, text: 'at once' },
  { value: 3600, text: 'in an hour' },
  { value: 7 * 86_400, text: 'in a week' },
] as const

export function RotateDialog({ deviceId, path, close }: AskProps) {
  const { api } = useApp()
  const doing = useDoing()
  const [graceSec, setGrace] = useState<number>(7 * 86_400)
  const [credential, setCredential] = useState<IssuedCredential['credential']>()
  return (
    <Dialog title={`Another credential for ${deviceId}`} close={close}>
      {credential === undefined ? (
        <>
          <Field label="The old ones end">
            <select value={graceSec} onChange={(event) => setGrace(Number(event.currentTarget.value))}>
              {graces.map(({ value, text }) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          </Field>
          <Fault problem={doing.problem} />
          <div class="row">
            <button
              type="button"
              class="main"
              disabled={doing.isBusy}
              onClick={() =>
                void doing.run(async () => {
                  const issued = await api.post<IssuedCredential>(`${path}/rotate`, { body: { graceSec } })
                  setCredential(issued.credential)
                })
              }
            >
              Rotate
            </button>
          </div>
        </>
      ) : (
        <Secret
          title={`The new credential of ${deviceId}`}
          text={JSON.stringify(credential, null, 2)}
          fileName={`${deviceId}.json`}
          done={close}
        />
      )}
    </Dialog>
  )
}

export function AssignDialog({ deviceId, path, close }: AskProps) {
  const { api } = useApp()
  const doing = useDoing()
  const [lotId, setLotId] = useState('')
  const save = async (event: Event) => {
    event.preventDefault()
    const body = { lotId, fromMs: Date.now() }
    if (
      await doing.run(
        () => api.post(`${path}/assignments`, { body }),
        `${deviceId} counts for ${lotId} from now on.`,
      )
    )
      close()
  }
  return (
    <Dialog title={`Move ${deviceId} to a lot`} close={close}>
      <form class="stack" onSubmit={save}>
        <Field label="Lot" hint="From now on. What it counted before stays with the lots it counted for.">
          <LotSelect required value={lotId} none="choose one" choose={setLotId} />
        </Field>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy || lotId === ''}>
            Move it
          </button>
        </div>
      </form>
    </Dialog>
  )
}

export function ConfigDialog({ deviceId, path, close }: AskProps) {
  const { api } = useApp()
  const doing = useDoing()
  const desired = useDesired(deviceId)
  const [text, setText] = useState<string>()
  const shown = text ?? JSON.stringify(desired.value?.config ?? { schedule: '*/5 * * * *' }, null, 2)
  const parsed = parseObject(shown)
  const save = async (event: Event) => {
    event.preventDefault()
    if (parsed === undefined) return
    if (
      await doing.run(() => api.put(`${path}/config`, { body: parsed }), 'It is told when it is connected.')
    )
      close()
  }
  return (
    <Dialog title={`What ${deviceId} is to be like`} close={close}>
      <form class="stack" onSubmit={save}>
        <Field
          label="Configuration"
          hint={
            parsed === undefined
              ? 'That is no JSON object yet.'
              : 'A JSON object; the agent says what it makes of it.'
          }
        >
          <textarea
            class="mono"
            rows={8}
            spellcheck={false}
            value={shown}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </Field>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy || parsed === undefined}>
            Set it
          </button>
        </div>
      </form>
    </Dialog>
  )
}

const commandNames: readonly (readonly [Command['name'], string])[] = [
  ['ping', 'ping: is it there?'],
  ['report', 'report: say how it is, now'],
  ['set-count', 'set-count: the true number of cars'],
  ['rotate', 'rotate: make a new key for itself'],
  ['restart', 'restart the agent'],
]

export function CommandDialog({ deviceId, path, close }: AskProps) {
  const { api } = useApp()
  const doing = useDoing()
  const [name, setName] = useState<Command['name']>('ping')
  const [occupied, setOccupied] = useState('')
  const send = async (event: Event) => {
    event.preventDefault()
    const body = { name, ...(name === 'set-count' ? { arguments: { occupied: Number(occupied) } } : {}) }
    if (
      await doing.run(() => api.post(`${path}/commands`, { body }), `${name} is on its way to ${deviceId}.`)
    )
      close()
  }
  return (
    <Dialog title={`Send ${deviceId} a command`} close={close}>
      <form class="stack" onSubmit={send}>
        <Field label="Command" hint="Now, or when it is next connected within a day.">
          <select
            value={name}
            onChange={(event) => setName(event.currentTarget.value as Command['name'])} // the options have no other
          >
            {commandNames.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </Field>
        {name === 'set-count' && (
          <WholeNumber label="Cars there are" min={0} required value={occupied} change={setOccupied} />
        )}
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy}>
            Send
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>) // just checked
      : undefined
  } catch {
    return undefined
  }
}
