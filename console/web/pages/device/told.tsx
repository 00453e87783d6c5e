/** What a device is told and what became of it: configuration, commands, the lots it counts for. */
import type { Command } from '../../../../core/contract/downlink.ts'
import { useApp } from '../../app-state.ts'
import { useLoad } from '../../load.ts'
import { Badge } from '../../parts/notices.tsx'
import { ago, dateTime } from '../../words.ts'
import { type Live, pathOf, type Shown, useDesired } from './shown.ts'

export function Configuration({ device, live, ask }: { device: Shown; live: Live; ask: () => void }) {
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

const commandTone = {
  pending: 'idle',
  delivered: 'idle',
  succeeded: 'good',
  failed: 'bad',
  expired: 'warn',
} as const

export function Commands({
  deviceId,
  nowMs,
  isAsking,
}: {
  deviceId: string
  nowMs: number
  isAsking: boolean
}) {
  const { api } = useApp()
  const commands = useLoad(
    `commands ${deviceId} ${isAsking}`,
    (signal) =>
      api.get<{ commands: Command[] }>(`${pathOf(deviceId)}/commands`, {
        query: { limit: 10 },
        signal,
      }),
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

export function Assignments({ device }: { device: Shown }) {
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
