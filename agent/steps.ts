/**
 * How far a device has come, from its credential to an empty queue, step by step, and what to do at each: what
 * `systemctl status`, `lot-agent status` and `lot-agent doctor` say. Pure.
 */
import type { LinkState } from './link.ts'

export const stepNames = ['enrolled', 'clock', 'sensor', 'token', 'MQTT'] as const
export type StepName = (typeof stepNames)[number]

export interface Step {
  readonly name: StepName
  readonly state: 'ok' | 'waiting' | 'failed'
  readonly detail?: string
  /** What a person can do about it. */
  readonly next?: string
}

export interface StepFacts {
  readonly link: Pick<
    LinkState,
    'identity' | 'identityFault' | 'token' | 'isConnected' | 'connectFault' | 'clockOffsetMs'
  >
  readonly clock: 'synced' | 'unsynced'
  readonly sensor: { readonly type: string; readonly state: 'ok' | 'silent' | 'stuck' | undefined }
}

/** A clock that is off by more is worth a word. */
const offsetMsMax = 60_000

export function stepsOf(facts: StepFacts): readonly Step[] {
  return [enrolled(facts), clock(facts), sensor(facts), token(facts), mqtt(facts)]
}

/** `enrolled → clock → sensor → token → MQTT → 0 queued`; ends at the first step that is missing, and why. */
export function lineOf(steps: readonly Step[], queued: number): string {
  const missing = steps.findIndex(({ state }) => state !== 'ok')
  const done = steps.slice(0, missing === -1 ? steps.length : missing).map(({ name }) => name)
  if (missing === -1) return [...done, `${queued} queued`].join(' → ')
  const { name, state, detail } = steps[missing] as Step // missing is an index
  const word = state === 'failed' ? 'failed' : 'waiting'
  return `${[...done, `${name} ${word}`].join(' → ')}${detail === undefined ? '' : `: ${detail}`}; ${queued} queued`
}

function enrolled({ link }: StepFacts): Step {
  if (link.identity !== undefined) return { name: 'enrolled', state: 'ok', detail: link.identity.deviceId }
  const { identityFault } = link
  return {
    name: 'enrolled',
    state: identityFault === undefined ? 'waiting' : 'failed',
    detail: identityFault ?? 'no credential',
    next: toEnrol(identityFault !== undefined),
  }
}

/** @param isThere whether there is a credential, which is wrong: a new one would not take its place */
export function toEnrol(isThere: boolean): string {
  const enrol = 'lot-agent enrol URL --key KEY'
  return isThere ? `put that right; if it is lost, move it away and ${enrol}` : enrol
}

function clock(facts: StepFacts): Step {
  const { clockOffsetMs } = facts.link
  if (facts.clock === 'unsynced')
    return {
      name: 'clock',
      state: 'waiting',
      detail: 'not synchronized yet; readings are held and stamped later',
      next: 'timedatectl timesync-status; is a time server reachable (UDP 123)?',
    }
  if (clockOffsetMs !== undefined && Math.abs(clockOffsetMs) > offsetMsMax)
    return {
      name: 'clock',
      state: 'failed',
      detail: `${Math.round(Math.abs(clockOffsetMs) / 1000)} s ${clockOffsetMs > 0 ? 'ahead of' : 'behind'} the server`,
      next: 'timedatectl set-ntp true',
    }
  return { name: 'clock', state: 'ok' }
}

function sensor({ sensor: { type, state } }: StepFacts): Step {
  if (state === 'ok') return { name: 'sensor', state: 'ok', detail: type }
  if (state === undefined)
    return {
      name: 'sensor',
      state: 'waiting',
      detail: `${type} has not been read yet; the schedule says when`,
    }
  return { name: 'sensor', state: 'failed', detail: `${type} is ${state}`, next: 'lot-agent sensor test' }
}

function token({ link }: StepFacts): Step {
  if (link.token === 'ok' || link.isConnected) return { name: 'token', state: 'ok' }
  if (link.token === undefined) return { name: 'token', state: 'waiting' }
  return {
    name: 'token',
    state: 'failed',
    detail: link.token.fault,
    next: /does not answer|answered 5/.test(link.token.fault)
      ? 'is the server reachable from here? It is tried again by itself'
      : 'is the device suspended or its credential revoked? Else: lot-agent enrol --again',
  }
}

function mqtt({ link }: StepFacts): Step {
  if (link.isConnected) return { name: 'MQTT', state: 'ok', detail: link.identity?.broker.url ?? '' }
  const where = link.identity?.broker.url
  const next =
    link.connectFault === 'connack_5'
      ? 'the broker refuses the token: is the device suspended? It is tried again by itself'
      : `is ${where} reachable from here? It is tried again by itself`
  return {
    name: 'MQTT',
    state: link.connectFault === undefined ? 'waiting' : 'failed',
    detail: link.connectFault ?? 'not connected yet',
    ...(where === undefined ? {} : { next }),
  }
}
