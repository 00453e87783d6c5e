/**
 * What is missing, from the ledger alone: holes between sequences that are known, the missing tail of an epoch
 * whose device said where it ended, and what devices said they let go. Pure.
 */
import type { DeviceId } from '../core/contract/device.ts'
import type { Gap } from '../core/contract/query.ts'
import type { Ledger } from './ledger.ts'

/** Outboxes count from here. */
export const firstSeq = 0

/** By device, epoch and sequence; at most `gapsMax`. */
export function gapsOf(ledger: Ledger, deviceIds: Iterable<DeviceId>, gapsMax: number): Gap[] {
  const gaps: Gap[] = []
  for (const deviceId of new Set(deviceIds)) {
    for (const [epoch, { settled, endSeq }] of ledger.epochsOf(deviceId)) {
      const missing = settled.holes(firstSeq, Math.max(settled.lastSeq, endSeq ?? -1))
      const dropped = [...settled].filter(({ outcome }) => outcome === 'dropped')
      const found: Gap[] = [
        ...missing.map((hole) => ({ deviceId, epoch, ...hole, reason: 'missing' })),
        ...dropped.map(({ fromSeq, toSeq, reason }) => ({
          deviceId,
          epoch,
          fromSeq,
          toSeq,
          reason: reason ?? 'dropped',
        })),
      ]
      gaps.push(...found.sort((a, b) => a.fromSeq - b.fromSeq))
      if (gaps.length >= gapsMax) return gaps.slice(0, gapsMax)
    }
  }
  return gaps
}
