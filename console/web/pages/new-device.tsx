/** Registers one device, and shows once what it proves itself with. */
import { useState } from 'preact/hooks'
import type { CredentialFile } from '../../../core/contract/credential.ts'
import { slugOf } from '../../../core/contract/device.ts'
import { useApp } from '../app-state.ts'
import { useDoing } from '../load.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Field } from '../parts/form.tsx'
import { LotSelect } from '../parts/lot-select.tsx'
import { Fault } from '../parts/notices.tsx'
import { Secret } from '../parts/secret.tsx'

export function NewDevice({ close }: { close: () => void }) {
  const { api, me } = useApp()
  const doing = useDoing()
  const [name, setName] = useState('')
  const [lotId, setLotId] = useState('')
  const [how, setHow] = useState<'enrol' | 'secret'>('enrol')
  const [issued, setIssued] = useState<{ title: string; text: string; fileName?: string; command: string }>()
  const deviceId = slugOf(name) ?? ''

  const register = async (event: Event) => {
    event.preventDefault()
    await doing.run(async () => {
      const body = {
        deviceId,
        ...(name === deviceId ? {} : { name }),
        ...(lotId === '' ? {} : { lotId }),
        ...(how === 'enrol' ? { credential: 'none' } : {}),
      }
      const { credential } = await api.post<{ credential?: CredentialFile }>('/api/provisioning/v1/devices', {
        body,
      })
      if (how === 'secret')
        return setIssued({
          title: `The credential of ${deviceId}`,
          text: JSON.stringify(credential, null, 2),
          fileName: `${deviceId}.json`,
          command: `LOT_AGENT_CREDENTIAL_FILE=${deviceId}.json lot-agent run`,
        })
      const { key } = await api.post<{ key: string }>('/api/provisioning/v1/enrol-keys', {
        body: { deviceId },
      })
      setIssued({
        title: `An enrolment key for ${deviceId}, good for a day`,
        text: key,
        command: `lot-agent enrol ${me.urls.provisioning} --key ${key}`,
      })
    }, `${deviceId} is registered.`)
  }

  if (issued !== undefined)
    return (
      <Dialog title={`${deviceId} is registered`} close={close}>
        <Secret
          title={issued.title}
          text={issued.text}
          {...(issued.fileName === undefined ? {} : { fileName: issued.fileName })}
          done={close}
        >
          <p>On the device:</p>
          <pre>{issued.command}</pre>
        </Secret>
      </Dialog>
    )
  return (
    <Dialog title="New device" close={close}>
      <form class="stack" onSubmit={register}>
        <Field
          label="Name"
          hint={
            deviceId === '' ? 'Such as gate-north.' : `Its identifier will be ${deviceId}; it stays for good.`
          }
        >
          <input required value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <Field label="Counts for" hint="From now on; it can be changed later, and the past stays as it was.">
          <LotSelect value={lotId} none="no lot yet" choose={setLotId} />
        </Field>
        <fieldset class="stack tight">
          <legend>How it proves who it is</legend>
          <label class="switch">
            <input type="radio" name="how" checked={how === 'enrol'} onChange={() => setHow('enrol')} />
            <span>By a key pair that it makes itself, with an enrolment key</span>
          </label>
          <label class="switch">
            <input type="radio" name="how" checked={how === 'secret'} onChange={() => setHow('secret')} />
            <span>By a credential file that you carry to it</span>
          </label>
        </fieldset>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy || deviceId === ''}>
            Register
          </button>
        </div>
      </form>
    </Dialog>
  )
}
