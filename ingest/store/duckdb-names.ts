/** Devices, epochs and credentials as small numbers: known ones from memory, new ones written with the batch that brings them. */
import type { DuckDBConnection } from '@duckdb/node-api'
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import { type Column, integer, text } from './duckdb-schema.ts'

interface DeviceName {
  readonly device: number
  readonly deviceId: DeviceId
  readonly epochs: Map<Epoch, number>
}

export interface EpochName {
  readonly epoch: number
  readonly device: number
  readonly deviceId: DeviceId
  readonly epochId: Epoch
}

interface CredentialName {
  readonly credential: number
  readonly credentialId: string
}

export class Names {
  readonly #devices = new Map<DeviceId, DeviceName>()
  readonly #deviceIds: DeviceId[] = []
  readonly #epochs: EpochName[] = []
  readonly #credentials = new Map<string, number>()
  readonly #credentialIds: string[] = []
  /** Not in the database yet. They stay here when a commit fails, and go along with the next. */
  #newDevices: DeviceName[] = []
  #newEpochs: EpochName[] = []
  #newCredentials: CredentialName[] = []

  async load(connection: DuckDBConnection): Promise<void> {
    const rowsOf = async (sql: string) => (await connection.runAndReadAll(sql)).getRowsJS()
    for (const [, deviceId] of await rowsOf('SELECT device, device_id FROM devices ORDER BY device'))
      this.#addDevice(deviceId as DeviceId) // written from one
    for (const [, device, epoch] of await rowsOf('SELECT epoch, device, epoch_id FROM epochs ORDER BY epoch'))
      this.#addEpoch(this.#devices.get(this.deviceId(device as number)) as DeviceName, epoch as Epoch) // as above
    for (const [, credentialId] of await rowsOf(
      'SELECT credential, credential_id FROM credentials ORDER BY credential',
    ))
      this.#addCredential(credentialId as string)
    this.saved()
  }

  device(deviceId: DeviceId): number {
    return (this.#devices.get(deviceId) ?? this.#addDevice(deviceId)).device
  }

  /** Undefined when nothing was ever stored of it. */
  knownDevice(deviceId: DeviceId): number | undefined {
    return this.#devices.get(deviceId)?.device
  }

  get deviceCount(): number {
    return this.#deviceIds.length
  }

  epoch(deviceId: DeviceId, epoch: Epoch): number {
    const device = this.#devices.get(deviceId) ?? this.#addDevice(deviceId)
    return device.epochs.get(epoch) ?? this.#addEpoch(device, epoch)
  }

  credential(credentialId: string): number {
    return this.#credentials.get(credentialId) ?? this.#addCredential(credentialId)
  }

  deviceId(device: number): DeviceId {
    return this.#deviceIds[device] as DeviceId // numbers come from here
  }

  epochName(epoch: number): EpochName {
    return this.#epochs[epoch] as EpochName // numbers come from here
  }

  credentialId(credential: number): string {
    return this.#credentialIds[credential] as string // as above
  }

  /** What the next commit has to write. */
  get unsaved() {
    return { devices: this.#newDevices, epochs: this.#newEpochs, credentials: this.#newCredentials }
  }

  /** The commit succeeded. */
  saved(): void {
    this.#newDevices = []
    this.#newEpochs = []
    this.#newCredentials = []
  }

  #addDevice(deviceId: DeviceId): DeviceName {
    const name = { device: this.#deviceIds.length, deviceId, epochs: new Map<Epoch, number>() }
    this.#deviceIds.push(deviceId)
    this.#devices.set(deviceId, name)
    this.#newDevices.push(name)
    return name
  }

  #addEpoch(of: DeviceName, epochId: Epoch): number {
    const name = { epoch: this.#epochs.length, device: of.device, deviceId: of.deviceId, epochId }
    this.#epochs.push(name)
    of.epochs.set(epochId, name.epoch)
    this.#newEpochs.push(name)
    return name.epoch
  }

  #addCredential(credentialId: string): number {
    const credential = this.#credentialIds.length
    this.#credentialIds.push(credentialId)
    this.#credentials.set(credentialId, credential)
    this.#newCredentials.push({ credential, credentialId })
    return credential
  }
}

export const deviceColumns: readonly Column<DeviceName>[] = [
  integer(({ device }) => device),
  text(({ deviceId }) => deviceId),
]
export const epochColumns: readonly Column<EpochName>[] = [
  integer(({ epoch }) => epoch),
  integer(({ device }) => device),
  text(({ epochId }) => epochId),
]
export const credentialColumns: readonly Column<CredentialName>[] = [
  integer(({ credential }) => credential),
  text(({ credentialId }) => credentialId),
]
