/** Registers a client, and shows its secret once. */
import { useState } from 'preact/hooks'
import type { IssuedCredential } from '../../../../core/contract/client.ts'
import { slugOf } from '../../../../core/contract/device.ts'
import { useApp } from '../../app-state.ts'
import { useDoing } from '../../load.ts'
import { Dialog } from '../../parts/dialog.tsx'
import { Field } from '../../parts/form.tsx'
import { Fault } from '../../parts/notices.tsx'
import { Secret } from '../../parts/secret.tsx'

const base = '/api/provisioning/v1'

export function NewClient({ close }: { close: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const [name, setName] = useState('')
  const [kind, setKind] = useState<'service' | 'command-line'>('service')
  const [preset, setPreset] = useState('analyst')
  const [issued, setIssued] = useState<IssuedCredential['credential']>()
  const oauthClientId = slugOf(name) ?? ''
  const make = async (event: Event) => {
    event.preventDefault()
    await doing.run(async () => {
      const grants =
        preset === 'analyst' ? [{ audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }] : []
      const body = { oauthClientId, name, kind, grants }
      setIssued((await api.post<IssuedCredential>(`${base}/clients`, { body })).credential)
    }, `${oauthClientId} is registered.`)
  }
  if (issued !== undefined)
    return (
      <Dialog title={`${oauthClientId} is registered`} close={close}>
        <Secret
          title="Its credential file"
          text={JSON.stringify(issued, null, 2)}
          fileName={`${oauthClientId}.json`}
          done={close}
        />
      </Dialog>
    )
  return (
    <Dialog title="New client" close={close}>
      <form class="stack" onSubmit={make}>
        <Field
          label="Name"
          hint={oauthClientId === '' ? 'Such as nightly-report.' : `Its client_id will be ${oauthClientId}.`}
        >
          <input required value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <Field label="Kind">
          <select
            value={kind}
            onChange={(event) =>
              setKind(event.currentTarget.value === 'service' ? 'service' : 'command-line')
            }
          >
            <option value="service">a program</option>
            <option value="command-line">a person’s command line or notebook</option>
          </select>
        </Field>
        <Field label="It may" hint="Each scope can be switched afterwards.">
          <select value={preset} onChange={(event) => setPreset(event.currentTarget.value)}>
            <option value="analyst">query readings</option>
            <option value="none">nothing yet</option>
          </select>
        </Field>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy || oauthClientId === ''}>
            Register
          </button>
        </div>
      </form>
    </Dialog>
  )
}
