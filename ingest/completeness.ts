/**
 * What is missing, from the ledger alone: holes between sequences that are known, the missing tail of an epoch
 * whose device said where it ended, and what devices said they let go. Pure.
 */
import type { Gap } from '../core/contract/completeness.ts'
import type { DeviceId } from '../core/contract/device.ts'
import type { Ledger } from './ledger.ts'

/** Outboxes count from here. */
export const firstSeq = 0

/** By device, epoch and sequence; at most `gapsMax`. */
export function gapsOf(ledger: Ledger, deviceIds: Iterable<DeviceId>, gapsMax: number): Gap[] {
  const gaps: Gap[] = []
  for (const deviceId of new Set(deviceIds)) {
    for (const [epoch, { settled, endSeq }] of ledger.epochsOf(deviceId)) {
      const missing = settled.holes(firstSeq, Math.max(settled.lastSeq, endSeq ?? -1))
      const gap = (
        { fromSeq, toSeq }: { fromSeq: number; toSeq: number },
        reason: Gap['reason'],
        detail: string | null,
      ): Gap => ({
        deviceId,
        lotId: null,
        from: null,
        to: null,
        readings: toSeq - fromSeq + 1,
        reason,
        detail,
        epoch,
        fromSeq,
        toSeq,
      })
      const dropped = [...settled].filter(({ outcome }) => outcome === 'dropped')
      const found: Gap[] = [
        ...missing.map((hole) => gap(hole, 'unexplained', null)),
        ...dropped.map((range) => gap(range, 'outbox_limit', range.reason ?? null)),
      ]
      gaps.push(...found.sort((a, b) => (a.fromSeq ?? 0) - (b.fromSeq ?? 0)))
      if (gaps.length >= gapsMax) return gaps.slice(0, gapsMax)
    }
  }
  return gaps
}
