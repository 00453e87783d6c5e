/** Provisioning for benchmarks, on a data folder with many devices in it. */
import { join } from 'node:path'
import { freePort, type Program, startProgram } from '../../test/kit/program.ts'
import { Child } from './child.ts'
import type { FillOrder } from './fill.ts'

export const audience = 'urn:lotwatch:broker'
export const scope = 'publish:readings receive:commands'

export interface Devices {
  /** Lines of `oauthClientId:secret`. */
  readonly credentialsFile: string
  count: number
}

/** Starts provisioning on the folder. @returns it, its port, and how long it took until it was ready */
export async function startProvisioning(
  data: string,
  options: { nodeOptions?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<{ program: Program; port: number; tookMs: number }> {
  const port = await freePort()
  const startMs = performance.now()
  const program = await startProgram('provisioning', {
    env: {
      LOTWATCH_DATA: data,
      LOTWATCH_PROVISIONING_PORT: String(port),
      ...options.env,
    },
    nodeOptions: options.nodeOptions ?? [],
  })
  return { program, port, tookMs: performance.now() - startMs }
}

export function openDevices(data: string): Devices {
  return { credentialsFile: join(data, 'bench-credentials.txt'), count: 0 }
}

/** Adds devices until there are so many; while provisioning is down. */
export async function fillTo(data: string, devices: Devices, count: number): Promise<void> {
  const order: FillOrder = { data, credentialsFile: devices.credentialsFile, from: devices.count, to: count }
  const fill = new Child('fill', order)
  await fill.next('filled')
  await fill.stop()
  devices.count = count
}
