/**
 * What is in quarantine, as it would arrive today: after a fix of ours, or with settings that leave more room. A reading
 * comes as one that is released, so that what it was set aside as does not settle it; a message that nobody could read
 * comes as if for the first time, since nothing of it has an outcome.
 */
import type { DeviceId } from '../core/contract/device.ts'
import { verdictLetters } from '../core/contract/reading.ts'
import { type Arrival, readArrivals } from './arrivals.ts'
import type { QuarantineRecord, QuarantineRelease } from './store/store.ts'

/** Who releases, and when. */
export interface Releaser {
  readonly releasedAtMs: number
  /** The subject of the token. */
  readonly releasedBy: string
}

export interface ArrivalAgain {
  readonly entry: QuarantineRecord
  readonly arrival: Arrival
}

/** @returns those that can be read by now; of what lost its content nothing can be */
export function arriveAgain(entries: readonly QuarantineRecord[]): ArrivalAgain[] {
  return entries.flatMap((entry) => {
    if (entry.content === null) return []
    const isMessage = entry.reason.startsWith('payload.')
    const payload = isMessage ? entry.content : messageOf(entry, entry.content)
    const [arrival] = readArrivals([
      {
        deviceId: entry.deviceId,
        credentialId: entry.credentialId,
        receivedAtMs: entry.receivedAtMs,
        topic: topicOf(entry.deviceId),
        payload: new TextEncoder().encode(payload),
      },
    ])
    if (arrival?.kind !== 'readings') return []
    return [{ entry, arrival: isMessage ? arrival : { ...arrival, isReleased: true } }]
  })
}

/** Readings that are stored, or were already; messages that could be read, whatever became of each of their readings. */
export function releasesOf(
  again: readonly ArrivalAgain[],
  verdicts: readonly string[],
  by: Releaser,
): QuarantineRelease[] {
  return again
    .filter(({ entry }, i) => entry.reason.startsWith('payload.') || isStored(verdicts[i] ?? ''))
    .map(({ entry: { id, deviceId } }) => ({ id, deviceId, ...by }))
}

function isStored(letters: string): boolean {
  const { stored, duplicate, redelivered } = verdictLetters
  return (
    letters !== '' &&
    [...letters].every((letter) => [stored, duplicate, redelivered].includes(letter as never))
  ) // any letter may come
}

/** A reading's own text, in an envelope as its device would send it. */
function messageOf({ epoch }: QuarantineRecord, reading: string): string {
  return `{"v":1,${epoch === undefined ? '' : `"epoch":"${epoch}",`}"readings":[${reading}]}`
}

function topicOf(deviceId: DeviceId): string {
  return `devices/${deviceId}/readings`
}
