/** Enrolment: keys by which boards become devices, a sheet of them to print, and boards that wait to be let in. */
import { useMemo, useState } from 'preact/hooks'
import { renderSVG } from 'uqr'
import type { Alarm } from '../../../core/contract/downlink.ts'
import type { EnrolKey, Enrolment, IssuedEnrolKey } from '../../../core/contract/enrolment.ts'
import type { LotRow } from '../../../core/contract/query.ts'
import { useApp } from '../app-state.ts'
import { useDoing, useLoad, useNow } from '../load.ts'
import { Confirm, Dialog } from '../parts/dialog.tsx'
import { Copy, Field } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { Table } from '../parts/table.tsx'
import { ago, counted, dash, dateTime, type Tone } from '../words.ts'

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
  const [revoking, setRevoking] = useState<EnrolKey>()
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
        {keys.length > 0 && (
          <section class="stack tight" aria-labelledby="keys">
            <h2 id="keys">Keys</h2>
            <Table
              label="Enrolment keys"
              rows={keys}
              keyOf={({ enrolKeyId }) => enrolKeyId}
              sortedBy="made"
              descending
              columns={[
                {
                  name: 'name',
                  head: 'For',
                  by: (key) => key.name,
                  cell: (key) => key.name ?? key.deviceId ?? key.enrolKeyId,
                },
                {
                  name: 'state',
                  head: 'State',
                  by: (key) => stateOf(key, nowMs)[1],
                  cell: (key) => <KeyState enrolKey={key} nowMs={nowMs} />,
                },
                {
                  name: 'uses',
                  head: 'Used',
                  align: 'end',
                  by: (key) => key.uses,
                  cell: (key) => `${key.uses} of ${key.usesMax}`,
                },
                {
                  name: 'ends',
                  head: 'Ends',
                  by: (key) => key.expiresAtMs,
                  cell: (key) => ago(key.expiresAtMs, nowMs),
                },
                { name: 'lot', head: 'Lot', by: (key) => key.lotId, cell: (key) => key.lotId ?? dash },
                {
                  name: 'approval',
                  head: 'Approval',
                  by: (key) => key.approval,
                  cell: (key) => (key.approval === 'manual' ? 'by a person' : 'not needed'),
                },
                {
                  name: 'made',
                  head: 'Made',
                  by: (key) => key.createdAtMs,
                  cell: (key) => ago(key.createdAtMs, nowMs),
                },
                {
                  name: 'act',
                  head: 'Action',
                  cell: (key) =>
                    stateOf(key, nowMs)[1] === 'good for use' ? (
                      <button
                        type="button"
                        class="plain"
                        onClick={() => setRevoking(key)}
                        aria-label={`Revoke ${key.name ?? key.enrolKeyId}`}
                      >
                        Revoke
                      </button>
                    ) : null,
                },
              ]}
            />
          </section>
        )}
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
      {revoking !== undefined && (
        <Confirm
          title={`Revoke ${revoking.name ?? revoking.enrolKeyId}`}
          verb="Revoke it"
          done="The key is revoked."
          act={() => api.delete(`${base}/enrol-keys/${revoking.enrolKeyId}`)}
          close={() => {
            setRevoking(undefined)
            void all.reload()
          }}
        >
          <p>Nobody can enrol with it any more. Devices that did stay as they are.</p>
        </Confirm>
      )}
    </>
  )
}

function stateOf(key: EnrolKey, nowMs: number): readonly [Tone, string] {
  if (key.revokedAtMs !== null) return ['bad', 'revoked']
  if (key.expiresAtMs <= nowMs) return ['idle', 'ended']
  if (key.uses >= key.usesMax) return ['idle', 'used up']
  return ['good', 'good for use']
}

function KeyState({ enrolKey, nowMs }: { enrolKey: EnrolKey; nowMs: number }) {
  const [tone, word] = stateOf(enrolKey, nowMs)
  return <Badge tone={tone}>{word}</Badge>
}

function Pending({ rows, nowMs, reload }: { rows: readonly Enrolment[]; nowMs: number; reload: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const decide = async (enrolment: Enrolment, verb: 'approve' | 'reject') => {
    const said =
      verb === 'approve' ? `${enrolment.deviceId} is let in.` : `${enrolment.deviceId} is turned away.`
    await doing.run(() => api.post(`${base}/enrolments/${enrolment.enrolmentId}/${verb}`), said)
    reload()
  }
  return (
    <section class="attention" aria-labelledby="pending">
      <h2 id="pending">{counted(rows.length, 'board')} to approve</h2>
      <p>Compare the fingerprint with the one that the board shows (lot-agent status), then let it in.</p>
      <Fault problem={doing.problem} />
      <ul style={{ display: 'grid', gap: '0.8rem' }}>
        {rows.map((row) => (
          <li key={row.enrolmentId} class="panel row spread">
            <div>
              <b>{row.name ?? row.deviceId}</b>{' '}
              <span class="small soft">
                {row.deviceId}, asked {ago(row.createdAtMs, nowMs)}
                {row.board?.serial !== undefined && `, board ${row.board.serial}`}
              </span>
              <br />
              <code>{row.fingerprint}</code>
            </div>
            <div class="row">
              <button
                type="button"
                class="main"
                disabled={doing.isBusy}
                onClick={() => void decide(row, 'approve')}
              >
                Approve {row.deviceId}
              </button>
              <button
                type="button"
                class="danger"
                disabled={doing.isBusy}
                onClick={() => void decide(row, 'reject')}
              >
                Reject {row.deviceId}
              </button>
            </div>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Alarms({ rows, nowMs, reload }: { rows: readonly Alarm[]; nowMs: number; reload: () => void }) {
  const { api } = useApp()
  const doing = useDoing()
  return (
    <section class="attention" aria-labelledby="alarms">
      <h2 id="alarms">{counted(rows.length, 'alarm')} about boards</h2>
      <p>
        One credential was used on two boards: a copied disk, or a stolen one. Suspend the device if you
        cannot tell which.
      </p>
      <Fault problem={doing.problem} />
      <ul style={{ display: 'grid', gap: '0.8rem' }}>
        {rows.map((alarm) => (
          <li key={alarm.alarmId} class="panel row spread">
            <div>
              <a href={`/devices/${alarm.subject}`}>{alarm.subject}</a>{' '}
              <span class="small soft">{ago(alarm.atMs, nowMs)}</span>
              <pre class="small">{JSON.stringify(alarm.detail)}</pre>
            </div>
            <button
              type="button"
              disabled={doing.isBusy}
              onClick={async () => {
                await doing.run(() => api.post(`${base}/alarms/${alarm.alarmId}/acknowledge`), 'Noted.')
                reload()
              }}
            >
              I have looked at it
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

const enrolmentTone = { pending: 'warn', approved: 'good', rejected: 'bad' } as const

function History({ rows, nowMs }: { rows: readonly Enrolment[]; nowMs: number }) {
  return (
    <section class="stack tight" aria-labelledby="enrolled">
      <h2 id="enrolled">Boards that enrolled</h2>
      <Table
        label="Boards and their fingerprints"
        rows={rows}
        keyOf={({ enrolmentId }) => enrolmentId}
        sortedBy="asked"
        descending
        columns={[
          {
            name: 'device',
            head: 'Device',
            by: (row) => row.deviceId,
            cell: (row) => <a href={`/devices/${row.deviceId}`}>{row.deviceId}</a>,
          },
          {
            name: 'state',
            head: 'State',
            by: (row) => row.state,
            cell: (row) => <Badge tone={enrolmentTone[row.state]}>{row.state}</Badge>,
          },
          {
            name: 'asked',
            head: 'Asked',
            by: (row) => row.createdAtMs,
            cell: (row) => ago(row.createdAtMs, nowMs),
          },
          { name: 'board', head: 'Board', cell: (row) => row.board?.serial ?? dash },
          { name: 'fingerprint', head: 'Fingerprint', cell: (row) => <code>{row.fingerprint}</code> },
        ]}
      />
    </section>
  )
}

const lives = [
  { value: 3600, text: 'an hour' },
  { value: 86_400, text: 'a day' },
  { value: 7 * 86_400, text: 'a week' },
  { value: 30 * 86_400, text: '30 days' },
] as const

function NewKey({ close }: { close: () => void }) {
  const { api, me } = useApp()
  const doing = useDoing()
  const lots = useLoad('lots', (signal) => api.get<{ rows: LotRow[] }>('/api/ingest/v1/lots', { signal }))
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
        made.push(await api.post<IssuedEnrolKey>(`${base}/enrol-keys`, { body }))
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
          <select value={lotId} onChange={(event) => setLotId(event.currentTarget.value)}>
            <option value="">no lot yet</option>
            {(lots.value?.rows ?? []).map((lot) => (
              <option key={lot.lotId} value={lot.lotId}>
                {lot.name}
              </option>
            ))}
          </select>
        </Field>
        <div class="two">
          <Field label="Boards that may use it">
            <input
              type="number"
              min={1}
              max={100000}
              required
              value={usesMax}
              onInput={(event) => setUsesMax(event.currentTarget.value)}
            />
          </Field>
          <Field label="Keys to make" hint="A sheet of several, one for each board.">
            <input
              type="number"
              min={1}
              max={60}
              required
              value={keyCount}
              onInput={(event) => setKeyCount(event.currentTarget.value)}
            />
          </Field>
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
