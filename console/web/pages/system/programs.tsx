/** The programs: whether they answer, what they count, how fast, and what they have on disk. */
import { useRef, useState } from 'preact/hooks'
import type { Services } from '../../../wire.ts'
import { useApp } from '../../app-state.ts'
import { useLoad } from '../../load.ts'
import { type Disk, diskOf, numbersOf, type Sample, withSample } from '../../metrics.ts'
import { Badge, Fault, Waiting } from '../../parts/notices.tsx'
import { bytes, number, percent, span } from '../../words.ts'
import type { Status } from './status.ts'

const everyMs = 5000
const nothing = () => undefined
const stateTone = { ready: 'good', not_ready: 'warn', away: 'bad' } as const
const stateWord = { ready: 'ready', not_ready: 'not ready', away: 'does not answer' } as const

export function Programs() {
  const { api } = useApp()
  const [disk, setDisk] = useState<Disk>()
  const services = useLoad('services', (signal) => api.get<Services>('/api/services', { signal }), {
    everyMs: 5000,
  })
  return (
    <div class="stack">
      <Fault problem={services.problem} retry={services.reload} />
      {services.value === undefined && services.problem === undefined && <Waiting what="the programs" />}
      <div class="cards">
        {(services.value?.services ?? []).map((service) => (
          <section key={service.name} class="panel stack tight" aria-label={service.name}>
            <div class="row spread">
              <h2>{service.name}</h2>
              <Badge tone={stateTone[service.state]}>{stateWord[service.state]}</Badge>
            </div>
            <p class="small soft">
              {service.url}
              <br />
              {service.detail === undefined ? (
                `answered in ${service.answerMs} ms`
              ) : (
                <code>{service.detail}</code>
              )}
            </p>
            {service.state !== 'away' && (
              <Numbers name={service.name} heard={service.name === 'ingest' ? setDisk : nothing} />
            )}
          </section>
        ))}
      </div>
      {disk !== undefined && <DiskUse disk={disk} />}
    </div>
  )
}

function Numbers({ name, heard }: { name: string; heard: (disk: Disk | undefined) => void }) {
  const { api } = useApp()
  const samples = useRef<readonly Sample[]>([])
  const numbers = useLoad(
    `numbers ${name}`,
    async (signal) => {
      if (name === 'provisioning') {
        const { devices, clients, uptimeSec } = await api.get<Status>('/api/provisioning/v1/status', {
          signal,
        })
        const all = Object.values(devices).reduce((sum, count) => sum + count, 0)
        return [
          ['devices', number(all)],
          ['other clients', number(clients)],
          ['up for', span(uptimeSec)],
        ] as const
      }
      const answer = await api.response('GET', `/api/${name}/metrics`, {
        signal,
        headers: { accept: 'text/plain' },
      })
      const text = await answer.text()
      samples.current = withSample(samples.current, { atMs: Date.now(), text })
      heard(diskOf(text))
      return numbersOf(name, samples.current)
    },
    { everyMs },
  )
  return (
    <dl class="facts small">
      {(numbers.value ?? []).map(([what, value]) => (
        <>
          <dt key={`${what} name`}>{what}</dt>
          <dd key={what}>{value}</dd>
        </>
      ))}
    </dl>
  )
}

function DiskUse({ disk: { uses, freeBytes } }: { disk: Disk }) {
  const usedBytes = uses.reduce((sum, [, size]) => sum + size, 0)
  const share = percent(usedBytes, usedBytes + freeBytes)
  return (
    <section class="panel stack tight" aria-labelledby="disk">
      <h2 id="disk">Disk of ingest</h2>
      <p class="small soft">
        {bytes(usedBytes)} used, {bytes(freeBytes)} free.
      </p>
      {/* biome-ignore lint/a11y/useSemanticElements: a meter element is drawn otherwise in each browser */}
      <div
        class="bar"
        role="meter"
        aria-label="Used by Lotwatch, of what it could use"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share)}
        aria-valuetext={`${bytes(usedBytes)} used, ${bytes(freeBytes)} free`}
      >
        <i style={{ width: `${share}%` }} />
      </div>
      <dl class="facts small">
        {uses.map(([use, size]) => (
          <>
            <dt key={`${use} name`}>{use}</dt>
            <dd key={use}>{bytes(size)}</dd>
          </>
        ))}
      </dl>
    </section>
  )
}
