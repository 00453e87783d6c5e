/** Enrolment: keys by which boards become devices, a sheet of them to print, and boards that wait to be let in. */
import { useState } from 'preact/hooks'
import type { Alarm } from '../../../core/contract/downlink.ts'
import type { EnrolKey, Enrolment } from '../../../core/contract/enrolment.ts'
import { useApp } from '../app-state.ts'
import { useLoad, useNow } from '../load.ts'
import { Head } from '../parts/head.tsx'
import { Empty, Fault, Waiting } from '../parts/notices.tsx'
import { Alarms, History, Pending } from './enrolment/boards.tsx'
import { Keys } from './enrolment/keys.tsx'
import { NewKey } from './enrolment/new-key.tsx'

const base = '/api/provisioning/v1'

export function EnrolmentPage() {
  const { api } = useApp()
  const nowMs = useNow()
  const all = useLoad(
    'enrolment',
    async (signal) => {
      const [keys, enrolments, alarms] = await Promise.all([
        api.get<{ enrolKeys: EnrolKey[] }>(`${base}/enrol-keys`, { query: { limit: 1000 }, signal }),
        api.get<{ enrolments: Enrolment[] }>(`${base}/enrolments`, { query: { limit: 1000 }, signal }),
        api.get<{ alarms: Alarm[] }>(`${base}/alarms`, { query: { limit: 100 }, signal }),
      ])
      return {
        keys: keys.enrolKeys,
        enrolments: enrolments.enrolments,
        alarms: alarms.alarms.filter(({ acknowledgedAtMs }) => acknowledgedAtMs === null),
      }
    },
    { everyMs: 3000 },
  )
  const [isNew, setNew] = useState(false)
  const { keys = [], enrolments = [], alarms = [] } = all.value ?? {}
  const pending = enrolments.filter(({ state }) => state === 'pending')
  return (
    <>
      <Head
        title="Enrolment"
        about="How boards become devices: each makes its own key pair, and only the public half travels"
      >
        <button type="button" class="main" onClick={() => setNew(true)}>
          New key
        </button>
      </Head>
      <div class="stack">
        <Fault problem={all.problem} retry={all.reload} />
        {all.value === undefined && all.problem === undefined && <Waiting what="keys" />}
        {pending.length > 0 && <Pending rows={pending} nowMs={nowMs} reload={() => void all.reload()} />}
        {alarms.length > 0 && <Alarms rows={alarms} nowMs={nowMs} reload={() => void all.reload()} />}
        {all.value !== undefined && keys.length === 0 && (
          <Empty title="There are no enrolment keys">
            <p>
              A key lets one board, or several, become devices: print it as a QR code, or type it on the
              board. It ends by itself.
            </p>
            <pre>lot-agent enrol URL --key KEY</pre>
            <button type="button" class="main" onClick={() => setNew(true)}>
              New key
            </button>
          </Empty>
        )}
        {keys.length > 0 && <Keys keys={keys} nowMs={nowMs} reload={() => void all.reload()} />}
        {enrolments.length > 0 && <History rows={enrolments} nowMs={nowMs} />}
      </div>
      {isNew && (
        <NewKey
          close={() => {
            setNew(false)
            void all.reload()
          }}
        />
      )}
    </>
  )
}
