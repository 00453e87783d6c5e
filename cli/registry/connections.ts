/** The verbs that ask the broker: `tail`, `device kick`, and `explain --device`. Each broker knows its own connections. */
import { type ConnectionDecision, type ConnectionEvent, eventBeatMs } from '../../core/contract/connection.ts'
import { followEvents } from '../../core/runtime/fetch.ts'
import { clockOf } from '../answer.ts'
import type { Call, CallFlags } from '../call.ts'
import { type Exit, explain } from '../exit.ts'
import { untilInterrupted } from '../home.ts'
import { columnsOf } from './kinds.ts'

/** Shows events as they come. The first call must succeed; a broker that goes away later is waited for. */
export async function tail(call: Call, { device }: CallFlags & { readonly device?: string }): Promise<void> {
  call.asks('broker')
  let wasConnected = false
  let failure: unknown
  const stream = followEvents({
    api: call.api,
    path: `/v1/events${device === undefined ? '' : `?device=${encodeURIComponent(device)}`}`,
    silentMs: eventBeatMs * 3,
    random: Math.random,
    onEvent: ({ data }) => call.voice.answer(lineOf(call, JSON.parse(data) as ConnectionEvent)),
    onState(state) {
      if (state.connected) {
        call.voice.note(
          wasConnected ? 'back; what happened meanwhile is not shown' : 'watching; Ctrl-C ends it',
        )
        wasConnected = true
      } else if (wasConnected) {
        call.voice.note(`the broker is away (${explain(state.error)})`)
      } else {
        failure = state.error
        stream.stop()
      }
    },
  })
  await Promise.race([untilInterrupted(), stream.done])
  stream.stop()
  if (failure !== undefined) throw failure
}

function lineOf({ look }: Call, event: ConnectionEvent): string {
  if (look.quiet) return event.device ?? ''
  if (look.output !== 'table') return JSON.stringify(event)
  const { atMs, type, device = '', remoteAddress = '', byAddress, code, reason, tokenExpiresAtMs } = event
  const clock = clockOf(look.tz)
  const more = [
    byAddress === undefined ? undefined : `by ${byAddress}`,
    code,
    reason,
    tokenExpiresAtMs === undefined ? undefined : `token until ${clock(tokenExpiresAtMs)}`,
  ].filter((part) => part !== undefined)
  return `${clock(atMs)}  ${type.padEnd(12)}  ${device}  ${remoteAddress}  ${more.join(', ')}`.trimEnd()
}

export function deviceKick(call: Call, _: CallFlags, ...deviceIds: string[]): Promise<Exit> {
  call.asks('broker')
  return call.each(
    deviceIds,
    async (deviceId) => {
      await call.change('DELETE', `/v1/connections/${encodeURIComponent(deviceId)}`)
      return call.flags.dryRun === true ? undefined : { deviceId, kicked: true }
    },
    { columns: ['deviceId', 'kicked'], id: 'deviceId' },
  )
}

/** Why the last connections under this name were let in, refused or closed, newest first. */
export async function explainConnections(call: Call, device: string): Promise<void> {
  call.asks('broker')
  const { decisions } = await call.get<{ decisions: ConnectionDecision[] }>('/v1/decisions', { device })
  call.list({
    rows: decisions,
    columns: columnsOf.connectionDecision,
    id: 'atMs',
    whole: { device, decisions },
  })
}
