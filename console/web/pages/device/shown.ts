/** What the page of a device knows of it. */
import type { CredentialRecord } from '../../../../core/contract/client.ts'
import type { DesiredConfig } from '../../../../core/contract/downlink.ts'
import type { DeviceRow, ReadingRow } from '../../../../core/contract/query.ts'
import type { Assignment, Device } from '../../../../core/contract/registry.ts'
import { useApp } from '../../app-state.ts'
import type { Connection } from '../../fleet.ts'
import { type Loaded, useLoad } from '../../load.ts'

/** As the registry has it. */
export type Shown = Device & {
  readonly credentials: readonly CredentialRecord[]
  readonly assignments: readonly Assignment[]
}

/** As the broker and ingest know it now. */
export type Live = Loaded<{
  connection: Connection | undefined
  readings: readonly ReadingRow[]
  seen: DeviceRow | undefined
}>

export function pathOf(deviceId: string): string {
  return `/api/provisioning/v1/devices/${encodeURIComponent(deviceId)}`
}

/** The configuration that is wished for. */
export function useDesired(deviceId: string) {
  const { api } = useApp()
  return useLoad(
    `config ${deviceId}`,
    (signal) => api.find<DesiredConfig>(`${pathOf(deviceId)}/config`, { signal }),
    { everyMs: 5000 },
  )
}
