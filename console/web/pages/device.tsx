/** One device: how it is, what it may prove itself with, what it is told, what became of that; and the ways to stop it. */
import { useState } from 'preact/hooks'
import { useRoute } from 'preact-iso'
import type { CredentialRecord, IssuedCredential } from '../../../core/contract/client.ts'
import type { Command, DesiredConfig } from '../../../core/contract/downlink.ts'
import type { Answer, DeviceRow, LotRow, ReadingRow } from '../../../core/contract/query.ts'
import type { Assignment, Device } from '../../../core/contract/registry.ts'
import { useApp } from '../app-state.ts'
import { askConnections, fleetRow, toneOfWord } from '../fleet.ts'
import { useLive } from '../live.ts'
import { type Loaded, useDoing, useLoad, useNow } from '../load.ts'
import { Confirm, Dialog } from '../parts/dialog.tsx'
import { Field } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { Secret } from '../parts/secret.tsx'
import { Table } from '../parts/table.tsx'
import { HealthTimeline } from '../parts/timeline.tsx'
import { ago, bytes, dash, dateTime, number, parseTime, span } from '../words.ts'
import { clockWords } from './devices.tsx'

type Shown = Device & {
  readonly credentials: readonly CredentialRecord[]
  readonly assignments: readonly Assignment[]
}

type Asked = 'suspend' | 'resume' | 'retire' | 'kick' | 'rotate' | 'assign' | 'window' | 'config' | 'command'

export function DevicePage() {
  const { api } = useApp()
  const deviceId = useRoute().params.deviceId ?? ''
  const path = `/api/provisioning/v1/devices/${encodeURIComponent(deviceId)}`
  const device = useLoad(`device ${deviceId}`, (signal) => api.find<Shown>(path, { signal }), {
    everyMs: 10_000,
  })
  const live = useLoad(
    device.value === undefined ? undefined : `live ${deviceId}`,
    async (signal) => {
      const query = { device: deviceId, from: '-24h', order: 'desc', limit: 50 }
      const [connections, readings, seen] = await Promise.all([
        askConnections(api, signal),
        api.get<Answer<ReadingRow>>('/api/ingest/v1/readings', { query, signal }),
        api.find<Answer<DeviceRow>>('/api/ingest/v1/devices', { query: { device: deviceId }, signal }),
      ])
      return { connection: connections.get(deviceId), readings: readings.rows, seen: seen?.rows[0] }
    },
    { everyMs: 5000 },
  )
  useLive(device.value === undefined ? undefined : { device: deviceId }, () => void live.reload())
  const [asked, setAsked] = useState<Asked>()
  const nowMs = useNow(2000)
  const close = () => {
    setAsked(undefined)
    void device.reload()
    void live.reload()
  }

  if (!device.isLoading && device.problem === undefined && device.value === undefined)
    return (
      <>
        <Head title={deviceId} />
        <Empty title={`There is no device ${deviceId}`}>
          <a class="button" href="/devices">
            All devices
          </a>
        </Empty>
      </>
    )
  const shown = device.value
  const row =
    shown === undefined || live.value === undefined
      ? undefined
      : fleetRow(shown, live.value.connection, live.value.seen, live.value.seen !== undefined)
  return (
    <>
      <Head
        title={shown?.name ?? deviceId}
        about={shown !== undefined && shown.name !== deviceId ? deviceId : undefined}
      >
        {row !== undefined && <Badge tone={toneOfWord[row.word]}>{row.word}</Badge>}
      </Head>
      <div class="stack">
        <Fault problem={device.problem ?? live.problem} retry={device.reload} />
        {shown === undefined && device.problem === undefined && <Waiting what={deviceId} />}
        {shown !== undefined && (
          <>
            <div class="row no-print">
              {shown.state === 'suspended' ? (
                <button type="button" onClick={() => setAsked('resume')}>
                  Resume
                </button>
              ) : (
                shown.state !== 'retired' && (
                  <button type="button" class="danger" onClick={() => setAsked('suspend')}>
                    Suspend
                  </button>
                )
              )}
              {live.value?.connection !== undefined && (
                <button type="button" onClick={() => setAsked('kick')}>
                  Close its connection
                </button>
              )}
              {shown.state !== 'retired' && (
                <>
                  <button type="button" onClick={() => setAsked('command')}>
                    Send a command
                  </button>
                  <button type="button" onClick={() => setAsked('assign')}>
                    Move to a lot
                  </button>
                  <button type="button" class="danger" onClick={() => setAsked('retire')}>
                    Retire
                  </button>
                </>
              )}
            </div>
            <div class="two">
              <Health device={shown} live={live} nowMs={nowMs} />
              <Credentials device={shown} nowMs={nowMs} ask={setAsked} reload={() => void device.reload()} />
            </div>
            <HealthTimeline deviceId={deviceId} />
            <Readings live={live} nowMs={nowMs} />
            <div class="two">
              <Configuration device={shown} live={live} ask={() => setAsked('config')} />
              <Commands deviceId={deviceId} nowMs={nowMs} isAsking={asked !== undefined} />
            </div>
            <Assignments device={shown} />
          </>
        )}
      </div>
      {shown !== undefined && asked !== undefined && <Asking asked={asked} device={shown} close={close} />}
    </>
  )
}

type Live = Loaded<{
  connection: Parameters<typeof fleetRow>[1]
  readings: readonly ReadingRow[]
  seen: DeviceRow | undefined
}>

function Health({ device, live, nowMs }: { device: Shown; live: Live; nowMs: number }) {
  const { connection, seen, readings } = live.value ?? {}
  const newest = readings?.[0]
  return (
    <section class="panel stack tight" aria-labelledby="health">
      <h2 id="health">How it is</h2>
      <dl class="facts">
        <dt>Connection</dt>
        <dd>
          {connection === undefined
            ? 'none'
            : `since ${ago(connection.connectedAtMs, nowMs)}, from ${connection.remoteAddress}`}
        </dd>
        {connection !== undefined && (
          <>
            <dt>Its token</dt>
            <dd>expires {ago(connection.tokenExpiresAtMs, nowMs)}; it is renewed before</dd>
          </>
        )}
        <dt>Newest reading</dt>
        <dd>{newest === undefined ? 'none in the last day' : ago(parseTime(newest.time), nowMs)}</dd>
        <dt>Queue</dt>
        <dd>
          {seen?.queueReadings === null || seen === undefined
            ? dash
            : `${number(seen.queueReadings)} readings, ${bytes(seen.queueBytes)} of ${bytes(seen.queueBytesMax)}`}
        </dd>
        <dt>Dropped</dt>
        <dd>{number(seen?.dropped)}</dd>
        <dt>Clock</dt>
        <dd>{clockWords(seen?.clock ?? newest?.clock, seen?.clockOffsetMs)}</dd>
        <dt>Sensors</dt>
        <dd>
          {seen === undefined || seen.sensors.length === 0
            ? (newest?.sensor ?? dash)
            : seen.sensors.join(', ')}
        </dd>
        {seen?.version !== null && seen?.version !== undefined && (
          <>
            <dt>Agent</dt>
            <dd>
              {seen.version}, up for {seen.uptimeSec === null ? dash : span(seen.uptimeSec)}
            </dd>
          </>
        )}
        <dt>Registered</dt>
        <dd>{dateTime(device.registeredAtMs)}</dd>
        <dt>Tags</dt>
        <dd>{device.tags.join(', ') || dash}</dd>
      </dl>
    </section>
  )
}

function Readings({ live, nowMs }: { live: Live; nowMs: number }) {
  const readings = live.value?.readings ?? []
  return (
    <section class="panel" aria-labelledby="readings">
      <h2 id="readings">Newest readings, live</h2>
      {readings.length === 0 ? (
        <p class="soft">
          {live.value === undefined ? 'Loading …' : 'None in the last day. The first appears here by itself.'}
        </p>
      ) : (
        <Table
          label="Newest readings"
          height="17rem"
          rows={readings}
          keyOf={(row) => `${row.time} ${row.seq}`}
          columns={[
            { name: 'time', head: 'Taken', cell: (row) => dateTime(parseTime(row.time)) },
            { name: 'occupied', head: 'Count', align: 'end', cell: (row) => number(row.occupied) },
            { name: 'capacity', head: 'Of', align: 'end', cell: (row) => number(row.capacity) },
            { name: 'lot', head: 'For', cell: (row) => row.lotId ?? dash },
            { name: 'received', head: 'Arrived', cell: (row) => ago(parseTime(row.receivedAt), nowMs) },
            { name: 'seq', head: 'Sequence', align: 'end', cell: (row) => number(row.seq) },
            { name: 'flags', head: 'Flags', cell: (row) => row.flags.join(', ') || dash },
          ]}
        />
      )}
    </section>
  )
}

function Credentials({
  device,
  nowMs,
  ask,
  reload,
}: {
  device: Shown
  nowMs: number
  ask: (what: Asked) => void
  reload: () => void
}) {
  const { api } = useApp()
  const [revoking, setRevoking] = useState<CredentialRecord>()
  const live = device.credentials.filter(({ revokedAtMs }) => revokedAtMs === null)
  const isOpen = device.enrolWindowUntilMs !== undefined && device.enrolWindowUntilMs > nowMs
  const path = `/api/provisioning/v1/devices/${encodeURIComponent(device.deviceId)}`
  return (
    <section class="panel stack tight" aria-labelledby="credentials">
      <div class="row spread">
        <h2 id="credentials">Credentials</h2>
        {device.state !== 'retired' && (
          <div class="row">
            <button type="button" onClick={() => ask('rotate')}>
              Rotate
            </button>
            <button type="button" onClick={() => ask('window')}>
              {isOpen ? 'Close the window' : 'Let it enrol again'}
            </button>
          </div>
        )}
      </div>
      {isOpen && (
        <p>
          <Badge tone="warn">window open</Badge> It may enrol again without its old key, until{' '}
          {dateTime(device.enrolWindowUntilMs)}.
        </p>
      )}
      {live.length === 0 && <p class="soft">None: it can get no token. Rotate makes one.</p>}
      <ul class="stack tight">
        {live.map((credential) => (
          <li key={credential.credentialId} class="row spread">
            <span>
              {credential.of === 'key' ? 'Key pair' : 'Secret'} <code>{credential.credentialId}</code>
              <br />
              <span class="small soft">
                made {ago(credential.createdAtMs, nowMs)}, last used {ago(credential.lastUsedAtMs, nowMs)}
                {credential.expiresAtMs !== null && `, ends ${ago(credential.expiresAtMs, nowMs)}`}
              </span>
            </span>
            <button type="button" class="danger" onClick={() => setRevoking(credential)}>
              Revoke
            </button>
          </li>
        ))}
      </ul>
      {revoking !== undefined && (
        <Confirm
          title={`Revoke a credential of ${device.deviceId}`}
          verb="Revoke it"
          done="The credential is revoked."
          act={() => api.delete(`${path}/credentials/${revoking.credentialId}`)}
          close={() => {
            setRevoking(undefined)
            reload()
          }}
        >
          <p>
            <code>{revoking.credentialId}</code> gets no token any more, those it has are void, and a
            connection on one of them is closed within a second.
          </p>
        </Confirm>
      )}
    </section>
  )
}

function Configuration({ device, live, ask }: { device: Shown; live: Live; ask: () => void }) {
  const desired = useDesired(device.deviceId)
  const seen = live.value?.seen
  return (
    <section class="panel stack tight" aria-labelledby="config">
      <div class="row spread">
        <h2 id="config">Configuration</h2>
        {device.state !== 'retired' && (
          <button type="button" onClick={ask}>
            Change
          </button>
        )}
      </div>
      {desired.value === undefined ? (
        <p class="soft">Nothing is wished for: it runs as its own settings say.</p>
      ) : (
        <>
          <p>
            Version {desired.value.version} is wished for, since {dateTime(desired.value.setAtMs)}.{' '}
            {seen?.configVersion === desired.value.version
              ? `It says: ${seen.configState?.replace('_', ' ')}.`
              : seen?.configVersion === null || seen === undefined
                ? 'It has said nothing about it yet.'
                : `It has version ${seen.configVersion}, ${seen.configState}.`}
          </p>
          <pre>{JSON.stringify(desired.value.config, null, 2)}</pre>
        </>
      )}
    </section>
  )
}

function useDesired(deviceId: string) {
  const { api } = useApp()
  return useLoad(
    `config ${deviceId}`,
    (signal) =>
      api.find<DesiredConfig>(`/api/provisioning/v1/devices/${encodeURIComponent(deviceId)}/config`, {
        signal,
      }),
    { everyMs: 5000 },
  )
}

const commandTone = {
  pending: 'idle',
  delivered: 'idle',
  succeeded: 'good',
  failed: 'bad',
  expired: 'warn',
} as const

function Commands({ deviceId, nowMs, isAsking }: { deviceId: string; nowMs: number; isAsking: boolean }) {
  const { api } = useApp()
  const commands = useLoad(
    `commands ${deviceId} ${isAsking}`,
    (signal) =>
      api.get<{ commands: Command[] }>(
        `/api/provisioning/v1/devices/${encodeURIComponent(deviceId)}/commands`,
        {
          query: { limit: 10 },
          signal,
        },
      ),
    { everyMs: 3000 },
  )
  const rows = commands.value?.commands ?? []
  return (
    <section class="panel stack tight" aria-labelledby="commands">
      <h2 id="commands">Commands</h2>
      {rows.length === 0 && <p class="soft">None was sent.</p>}
      <ul class="stack tight">
        {rows.map((command) => (
          <li key={command.commandId}>
            <p class="row spread">
              <span>
                <b>{command.name}</b> <span class="small soft">{ago(command.createdAtMs, nowMs)}</span>
              </span>
              <Badge tone={commandTone[command.state]}>{command.state}</Badge>
            </p>
            {command.reply !== undefined && <pre class="small">{JSON.stringify(command.reply)}</pre>}
          </li>
        ))}
      </ul>
    </section>
  )
}

function Assignments({ device }: { device: Shown }) {
  if (device.assignments.length === 0)
    return (
      <section class="panel">
        <h2>Lots</h2>
        <p class="soft">It counts for no lot yet: “Move to a lot” says for which, from when on.</p>
      </section>
    )
  return (
    <section class="panel" aria-labelledby="assignments">
      <h2 id="assignments">Lots it counted for</h2>
      <ul>
        {device.assignments.toReversed().map(({ lotId, fromMs, toMs }) => (
          <li key={fromMs}>
            <a href={`/lots/${lotId}`}>{lotId}</a>{' '}
            <span class="soft">
              from {fromMs === 0 ? 'the beginning' : dateTime(fromMs)}{' '}
              {toMs === null ? 'on' : `until ${dateTime(toMs)}`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Asking({ asked, device, close }: { asked: Asked; device: Shown; close: () => void }) {
  const { api } = useApp()
  const { deviceId } = device
  const path = `/api/provisioning/v1/devices/${encodeURIComponent(deviceId)}`
  switch (asked) {
    case 'suspend':
      return (
        <Confirm
          title={`Suspend ${deviceId}`}
          verb={`Suspend ${deviceId}`}
          done={`${deviceId} is suspended.`}
          act={() => api.post(`${path}/suspend`)}
          close={close}
        >
          <p>
            It gets no tokens, those it has are void, and its connection is closed within a second. What it
            counts waits on the device until you resume it.
          </p>
        </Confirm>
      )
    case 'resume':
      return (
        <Confirm
          title={`Resume ${deviceId}`}
          verb={`Resume ${deviceId}`}
          done={`${deviceId} may come back.`}
          act={() => api.post(`${path}/resume`)}
          close={close}
        >
          <p>It may get tokens again and comes back by itself, with what it counted meanwhile.</p>
        </Confirm>
      )
    case 'retire':
      return (
        <Confirm
          title={`Retire ${deviceId}`}
          verb={`Retire ${deviceId} for good`}
          done={`${deviceId} is retired.`}
          act={() => api.post(`${path}/retire`)}
          close={close}
        >
          <p>
            For good: its credentials are void and its identifier is never given again. Its readings stay. To
            stop it for a while, suspend it instead.
          </p>
        </Confirm>
      )
    case 'kick':
      return (
        <Confirm
          title={`Close the connection of ${deviceId}`}
          verb="Close it"
          done={`The connection of ${deviceId} is closed.`}
          act={() => api.delete(`/api/broker/v1/connections/${encodeURIComponent(deviceId)}`)}
          close={close}
        >
          <p>It comes back by itself; nothing is lost.</p>
        </Confirm>
      )
    case 'window':
      return <WindowDialog device={device} path={path} close={close} />
    case 'rotate':
      return <RotateDialog deviceId={deviceId} path={path} close={close} />
    case 'assign':
      return <AssignDialog deviceId={deviceId} path={path} close={close} />
    case 'config':
      return <ConfigDialog deviceId={deviceId} path={path} close={close} />
    case 'command':
      return <CommandDialog deviceId={deviceId} path={path} close={close} />
    default: {
      const never: never = asked
      return never
    }
  }
}

interface AskProps {
  readonly deviceId: string
  readonly path: string
  readonly close: () => void
}

function WindowDialog({ device, path, close }: { device: Shown; path: string; close: () => void }) {
  const { api } = useApp()
  const isOpen = device.enrolWindowUntilMs !== undefined && device.enrolWindowUntilMs > Date.now()
  return (
    <Confirm
      title={isOpen ? 'Close the window' : `Let ${device.deviceId} enrol again`}
      verb={isOpen ? 'Close it' : 'Open a window for a day'}
      done={isOpen ? 'The window is closed.' : `${device.deviceId} may enrol again, once, within a day.`}
      act={() => (isOpen ? api.delete(`${path}/enrol-window`) : api.post(`${path}/enrol-window`))}
      close={close}
    >
      {isOpen ? (
        <p>It can then enrol again only with an enrolment key or with proof of its old key.</p>
      ) : (
        <p>
          For a board that lost its disk: whoever asks first under this identifier becomes the device. Open it
          only while somebody is at the board.
        </p>
      )}
    </Confirm>
  )
}

const graces = [
  { value: 0, text: 'at once' },
  { value: 3600, text: 'in an hour' },
  { value: 7 * 86_400, text: 'in a week' },
] as const

function RotateDialog({ deviceId, path, close }: AskProps) {
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

function AssignDialog({ deviceId, path, close }: AskProps) {
  const { api } = useApp()
  const doing = useDoing()
  const lots = useLoad('lots', (signal) => api.get<{ rows: LotRow[] }>('/api/ingest/v1/lots', { signal }))
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
          <select required value={lotId} onChange={(event) => setLotId(event.currentTarget.value)}>
            <option value="">choose one</option>
            {(lots.value?.rows ?? []).map((lot) => (
              <option key={lot.lotId} value={lot.lotId}>
                {lot.name}
              </option>
            ))}
          </select>
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

function ConfigDialog({ deviceId, path, close }: AskProps) {
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

function CommandDialog({ deviceId, path, close }: AskProps) {
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
          <Field label="Cars there are">
            <input
              type="number"
              min={0}
              step={1}
              required
              value={occupied}
              onInput={(event) => setOccupied(event.currentTarget.value)}
            />
          </Field>
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
