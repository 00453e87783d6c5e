/** Makes enrolment keys, and shows them once on a sheet to print. */
import { useMemo, useState } from 'preact/hooks'
import { renderSVG } from 'uqr'
import type { IssuedEnrolKey } from '../../../../core/contract/enrolment.ts'
import { useApp } from '../../app-state.ts'
import { useDoing } from '../../load.ts'
import { Dialog } from '../../parts/dialog.tsx'
import { Copy, Field, WholeNumber } from '../../parts/form.tsx'
import { LotSelect } from '../../parts/lot-select.tsx'
import { Fault } from '../../parts/notices.tsx'
import { counted, dateTime } from '../../words.ts'

const lives = [
  { value: 3600, text: 'an hour' },
  { value: 86_400, text: 'a day' },
  { value: 7 * 86_400, text: 'a week' },
  { value: 30 * 86_400, text: '30 days' },
] as const

export function NewKey({ close }: { close: () => void }) {
  const { api, me } = useApp()
  const doing = useDoing()
  const [name, setName] = useState('')
  const [lotId, setLotId] = useState('')
  const [usesMax, setUsesMax] = useState('1')
  const [keyCount, setKeyCount] = useState('1')
  const [lifeSec, setLife] = useState(86_400)
  const [isManual, setManual] = useState(false)
  const [issued, setIssued] = useState<readonly IssuedEnrolKey[]>([])
  const make = async (event: Event) => {
    event.preventDefault()
    await doing.run(async () => {
      const made: IssuedEnrolKey[] = []
      for (let i = 1; i <= Number(keyCount); i++) {
        const body = {
          ...(name === '' ? {} : { name: Number(keyCount) === 1 ? name : `${name} ${i}` }),
          ...(lotId === '' ? {} : { lotId }),
          usesMax: Number(usesMax),
          lifeSec,
          approval: isManual ? 'manual' : 'automatic',
        }
        made.push(await api.post<IssuedEnrolKey>('/api/provisioning/v1/enrol-keys', { body }))
      }
      setIssued(made)
    })
  }
  if (issued.length > 0) return <Sheet issued={issued} server={me.urls.provisioning} close={close} />
  return (
    <Dialog title="New enrolment key" close={close}>
      <form class="stack" onSubmit={make}>
        <Field label="What it is for" hint="For people, such as “North, second batch”.">
          <input value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
        <Field label="Its devices count for">
          <LotSelect value={lotId} none="no lot yet" choose={setLotId} />
        </Field>
        <div class="two">
          <WholeNumber
            label="Boards that may use it"
            min={1}
            max={100000}
            required
            value={usesMax}
            change={setUsesMax}
          />
          <WholeNumber
            label="Keys to make"
            hint="A sheet of several, one for each board."
            min={1}
            max={60}
            required
            value={keyCount}
            change={setKeyCount}
          />
        </div>
        <Field label="It ends after">
          <select value={lifeSec} onChange={(event) => setLife(Number(event.currentTarget.value))}>
            {lives.map(({ value, text }) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </Field>
        <label class="switch">
          <input
            type="checkbox"
            checked={isManual}
            onChange={(event) => setManual(event.currentTarget.checked)}
          />
          <span>Each board waits until a person has compared its fingerprint</span>
        </label>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy}>
            Make it
          </button>
        </div>
      </form>
    </Dialog>
  )
}

/** Shown once, and printed if wanted. */
function Sheet({
  issued,
  server,
  close,
}: {
  issued: readonly IssuedEnrolKey[]
  server: string
  close: () => void
}) {
  return (
    <Dialog
      title={issued.length === 1 ? 'The enrolment key' : `${issued.length} enrolment keys`}
      close={close}
      wide
    >
      <p class="no-print">
        Shown this once and kept nowhere: copy or print now. Whoever has the sheet has the keys.
      </p>
      <div class="sheet">
        {issued.map((one) => (
          <Card key={one.enrolKey.enrolKeyId} issued={one} server={server} />
        ))}
      </div>
      <div class="row no-print">
        <Copy
          text={issued.map(({ key }) => key).join('\n')}
          what={issued.length === 1 ? 'the key' : 'all keys'}
        />
        <button type="button" onClick={() => window.print()}>
          Print
        </button>
        <button type="button" class="main" onClick={close}>
          I have saved {issued.length === 1 ? 'it' : 'them'}
        </button>
      </div>
    </Dialog>
  )
}

function Card({ issued: { enrolKey, key }, server }: { issued: IssuedEnrolKey; server: string }) {
  const title = enrolKey.name ?? enrolKey.enrolKeyId
  // The fragment is not sent to the server by a browser; lotctl's sheets say the same.
  const code = useMemo(() => renderSVG(`${server}/v1/enrol#${key}`, { border: 1 }), [server, key])
  return (
    <article>
      <h3>{title}</h3>
      <div role="img" aria-label={`QR code of ${title}`} dangerouslySetInnerHTML={{ __html: code }} />
      <p class="small">
        for {counted(enrolKey.usesMax, 'board')}, until {dateTime(enrolKey.expiresAtMs)}
      </p>
      <code>{key}</code>
      <p class="small soft">
        On the board: <code>lot-agent enrol {server} --key …</code>
      </p>
    </article>
  )
}
