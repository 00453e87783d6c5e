/** Boards: those that wait to be let in, alarms about them, and those that enrolled. */
import type { Alarm } from '../../../../core/contract/downlink.ts'
import type { Enrolment } from '../../../../core/contract/enrolment.ts'
import { useApp } from '../../app-state.ts'
import { useDoing } from '../../load.ts'
import { Badge, Fault } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { ago, counted, dash } from '../../words.ts'

const base = '/api/provisioning/v1'

export function Pending({
  rows,
  nowMs,
  reload,
}: {
  rows: readonly Enrolment[]
  nowMs: number
  reload: () => void
}) {
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

export function Alarms({
  rows,
  nowMs,
  reload,
}: {
  rows: readonly Alarm[]
  nowMs: number
  reload: () => void
}) {
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

export function History({ rows, nowMs }: { rows: readonly Enrolment[]; nowMs: number }) {
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
