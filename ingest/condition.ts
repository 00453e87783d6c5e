/** How a device is, in one word: now, and in a window of the past. What the words mean is said in `core/contract/query.ts`. Pure. */
import type { DeviceCondition, HealthRow } from '../core/contract/query.ts'
import type { DeviceState } from '../core/contract/registry.ts'
import type { Account } from './completeness.ts'

export interface DeviceNow {
  /** As the registry has it; undefined for a device it does not know. */
  readonly registered: DeviceState | undefined
  readonly isSeen: boolean
  /** Undefined when no broker has said. */
  readonly isConnected: boolean | undefined
  /** Of the newest reading; undefined when there is none. */
  readonly newest: { readonly ageMs: number; readonly occupied: number | null } | undefined
  /** Readings that were due since the newest one; null where no schedule is known. */
  readonly overdue: number | null
  readonly staleAfterMs: number
}

export function conditionOf(device: DeviceNow): DeviceCondition {
  const { registered, newest, staleAfterMs } = device
  if (registered === 'suspended' || registered === 'retired') return registered
  if (!device.isSeen && device.isConnected !== true) return 'never_seen'
  const isOld = newest === undefined || newest.ageMs > staleAfterMs
  if (!(device.isConnected ?? !isOld)) return 'offline'
  if (newest?.occupied === null) return 'silent_sensor'
  const isLate = device.overdue === null ? isOld : device.overdue > 0
  return isLate ? 'late' : 'online'
}

/** @param connectedMs undefined where no broker has said */
export function conditionThen(
  account: Account,
  { connectedMs, lengthMs, isSeen }: { connectedMs: number | undefined; lengthMs: number; isSeen: boolean },
): HealthRow['state'] {
  if (lengthMs <= 0) return null
  if (!isSeen) return 'never_seen'
  const wants = (account.missing ?? 0) > 0 || account.received === 0
  if (connectedMs !== undefined && connectedMs < lengthMs && wants) return 'offline'
  if (account.silent > 0) return 'silent_sensor'
  if ((account.missing ?? 0) > 0) return 'late'
  return account.received > 0 || (connectedMs ?? 0) > 0 ? 'online' : null
}
