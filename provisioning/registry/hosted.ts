/** What a hosted issuer is told of a client: as the registry has it, and shut while its device may not connect. */
import type { Client } from '../../core/contract/client.ts'
import type { Device } from '../../core/contract/registry.ts'
import type { ClientDirectory } from '../issuer/issuer.ts'
import type { RegistryView } from '../repository/repository.ts'

/** @returns what it is called there, if it is there */
export async function putThere(
  directory: ClientDirectory,
  view: RegistryView,
  client: Client,
): Promise<Pick<Client, 'issuerClientId'>> {
  const device = client.kind === 'device' ? await view.findDevice(client.oauthClientId) : undefined
  const { issuerClientId } = await directory.put(mayHaveTokens(device) ? client : shut(client))
  return issuerClientId === undefined ? {} : { issuerClientId }
}

/**
 * After the device has moved.
 * @returns whether it has lost something there
 */
export async function moveThere(
  directory: ClientDirectory | undefined,
  view: RegistryView,
  device: Device,
): Promise<boolean> {
  const client = await view.findClient(device.deviceId)
  // One that is not known there has nothing to lose there.
  if (directory === undefined || client?.issuerClientId === undefined) return false
  const isOpen = mayHaveTokens(device)
  if (device.state === 'retired') await directory.remove(client)
  else await directory.put(isOpen ? client : shut(client))
  return !isOpen
}

function mayHaveTokens(device: Device | undefined): boolean {
  return device?.state !== 'suspended' && device?.state !== 'retired'
}

function shut(client: Client): Client {
  return { ...client, grantTypes: [], grants: [] }
}
