/** lotctl as a person runs it: the real command in a process of its own. */
import { join } from 'node:path'
import { root } from '../../scripts/build.mjs'
import { type Ended, type RunningCommand, startCommand } from './command.ts'
import { freePort } from './program.ts'
import type { System } from './system.ts'

export function startLotctl(args: readonly string[], env: Readonly<Record<string, string>>): RunningCommand {
  return startCommand(join(root, 'bin/lotctl.mjs'), args, env)
}

export function runLotctl(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  return startLotctl(args, env).ended
}

/** What lotctl must know to find a system that a test has started. */
export function lotctlEnv(system: System): Record<string, string> {
  return {
    LOTWATCH_DATA: system.data,
    LOTWATCH_PROVISIONING_PORT: new URL(system.issuer).port,
    LOTWATCH_INGEST_PORT: new URL(system.ingestUrl).port,
    LOTWATCH_BROKER_MQTT_PORT: String(system.mqttPort),
  }
}

/** What lotctl must know to run a whole system of its own in a folder. */
export async function lotctlUpEnv(folder: string): Promise<Record<string, string>> {
  return {
    LOTWATCH_DATA: folder,
    LOTWATCH_CONFIG: '/dev/null',
    LOTWATCH_CONSOLE_PORT: String(await freePort()),
    LOTWATCH_PROVISIONING_PORT: String(await freePort()),
    LOTWATCH_INGEST_PORT: String(await freePort()),
    LOTWATCH_BROKER_PORT: String(await freePort()),
    LOTWATCH_BROKER_MQTT_PORT: String(await freePort()),
  }
}
