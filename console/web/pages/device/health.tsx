/** How a device is now: connection, queue, clock, sensors; and its newest readings as they come. */
import { clockWords } from '../../fleet.ts'
import { Table } from '../../parts/table.tsx'
import { ago, bytes, dash, dateTime, number, parseTime, span } from '../../words.ts'
import type { Live, Shown } from './shown.ts'

export function Health({ device, live, nowMs }: { device: Shown; live: Live; nowMs: number }) {
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

export function Readings({ live, nowMs }: { live: Live; nowMs: number }) {
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
