/** One device: how it is, what it may prove itself with, what it is told, what became of that; and the ways to stop it. */
import { useState } from 'preact/hooks'
import { useRoute } from 'preact-iso'
import type { Answer, DeviceRow, ReadingRow } from '../../../core/contract/query.ts'
import { useApp } from '../app-state.ts'
import { askConnections, fleetRow, toneOfWord } from '../fleet.ts'
import { useLive } from '../live.ts'
import { useLoad, useNow } from '../load.ts'
import { Head } from '../parts/head.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { HealthTimeline } from '../parts/timeline.tsx'
import { type Asked, Asking } from './device/asking.tsx'
import { Credentials } from './device/credentials.tsx'
import { Health, Readings } from './device/health.tsx'
import { pathOf, type Shown } from './device/shown.ts'
import { Assignments, Commands, Configuration } from './device/told.tsx'

export function DevicePage() {
  const { api } = useApp()
  const deviceId = useRoute().params.deviceId ?? ''
  const path = pathOf(deviceId)
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
  useLive(device.value === undefined ? undefined : { device: deviceId }, () => void live.refresh())
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
