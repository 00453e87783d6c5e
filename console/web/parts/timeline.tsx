/** How a device was over some days: a bar for each part of them, and the same in words. */
import type { Answer, HealthRow } from '../../../core/contract/query.ts'
import { useApp } from '../app-state.ts'
import { useLoad } from '../load.ts'
import { localZone } from '../lots.ts'
import { dateTime, parseTime, type Tone } from '../words.ts'
import { Fault } from './notices.tsx'

const tones: Readonly<Record<NonNullable<HealthRow['state']>, Tone>> = {
  online: 'good',
  late: 'warn',
  silent_sensor: 'warn',
  offline: 'bad',
  never_seen: 'idle',
}

export function HealthTimeline({ deviceId }: { deviceId: string }) {
  const { api } = useApp()
  const health = useLoad(
    `health ${deviceId}`,
    (signal) =>
      api.get<Answer<HealthRow>>('/api/ingest/v1/devices/health', {
        query: { device: deviceId, from: '-7d', every: '3h', tz: localZone },
        signal,
      }),
    { everyMs: 60_000 },
  )
  const rows = health.value?.rows ?? []
  return (
    <section class="panel stack tight" aria-labelledby="timeline">
      <h2 id="timeline">The last seven days</h2>
      <Fault problem={health.problem} retry={health.reload} />
      <p class="small soft">{wordsOf(rows)}</p>
      <div class="timeline" aria-hidden="true">
        {rows.map((row) => (
          <i
            key={row.start}
            class={row.state === null ? '' : tones[row.state]}
            title={`${dateTime(parseTime(row.start))}: ${row.state?.replace('_', ' ') ?? 'not known'}`}
          />
        ))}
      </div>
      <p class="row spread small soft">
        <span>{rows[0] === undefined ? '' : dateTime(parseTime(rows[0].start))}</span>
        <span>now</span>
      </p>
    </section>
  )
}

function wordsOf(rows: readonly HealthRow[]): string {
  const known = rows.flatMap(({ state }) => (state === null ? [] : [state]))
  if (known.length === 0) return 'Nothing is known of them.'
  const shares = Object.keys(tones).flatMap((state) => {
    const share = Math.round((known.filter((one) => one === state).length / known.length) * 100)
    return share === 0 ? [] : [`${share} % ${state.replace('_', ' ')}`]
  })
  return `${shares.join(', ')} of the time that is known.`
}
