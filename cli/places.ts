/**
 * Where the programs of this machine listen, from their own settings, and how `up` tells them of each other:
 * a port is set once, and every program that must know it does. Pure; whether the settings are right is checked
 * by the programs themselves.
 */
import { FleetError } from '../core/contract/errors.ts'
import { type SettingsSource, settingName } from '../core/runtime/env.ts'

export interface Places {
  readonly provisioningUrl: string
  readonly ingestUrl: string
  readonly brokerUrl: string
  /** The broker's HTTP face; undefined where the system chooses its port. */
  readonly brokerHttpUrl: string | undefined
  /** As browsers reach it. */
  readonly consoleUrl: string
  /** As in `iss`. */
  readonly issuerUrl: string
  /** The private authority that clients must trust; undefined: the system's. */
  readonly caFile: string | undefined
}

/** The programs `up` starts on this machine. */
export const localPrograms = ['provisioning', 'broker', 'ingest', 'console'] as const
export type LocalProgram = (typeof localPrograms)[number]

const portDefaults = {
  provisioning: 8081,
  ingest: 8082,
  broker: 8083,
  console: 8080,
  mqtt: 1883,
  mqtts: 8883,
}

export function placesOf(source: SettingsSource): Places {
  const of = (program: LocalProgram, key: string) => settingOf(source, program, key)
  const hostOf = (program: LocalProgram, key = 'host') => reachable(of(program, key) ?? '127.0.0.1')
  const isTls = (program: LocalProgram) => of(program, 'tlsCertFile') !== undefined
  const portOf = (program: LocalProgram, key: string, ifUnset: number) => {
    const port = of(program, key) ?? ''
    // What is no port is named by the program whose setting it is.
    if (!/^[0-9]+$/.test(port)) return ifUnset
    if (port !== '0') return port
    throw new FleetError('config.invalid', `${nameOf(program, key)} is 0`, {
      faults: [`${nameOf(program, key)}: 0 lets the system choose, and then no other program knows the port`],
    })
  }
  const http = (program: LocalProgram) =>
    `${isTls(program) ? 'https' : 'http'}://${hostOf(program)}:${portOf(program, 'port', portDefaults[program])}`
  const provisioningUrl = http('provisioning')
  return {
    provisioningUrl,
    ingestUrl: http('ingest'),
    brokerUrl:
      of('provisioning', 'brokerUrl') ??
      (isTls('broker')
        ? `mqtts://${hostOf('broker', 'mqttsHost')}:${portOf('broker', 'mqttsPort', portDefaults.mqtts)}`
        : `mqtt://${hostOf('broker', 'mqttHost')}:${portOf('broker', 'mqttPort', portDefaults.mqtt)}`),
    brokerHttpUrl: of('broker', 'port') === '0' ? undefined : http('broker'),
    consoleUrl: of('console', 'publicUrl') ?? http('console'),
    issuerUrl: of('provisioning', 'issuerUrl') ?? provisioningUrl,
    caFile: of('provisioning', 'caFile'),
  }
}

/** What each program must know of the others; a setting that somebody made stays as it is. */
export function wiringOf(source: SettingsSource, places: Places): Record<string, string> {
  const { provisioningUrl, issuerUrl, ingestUrl, brokerUrl, brokerHttpUrl, caFile } = places
  const wires: readonly (readonly [LocalProgram, string, string | undefined])[] = [
    ['provisioning', 'brokerUrl', brokerUrl],
    ['broker', 'issuerUrl', issuerUrl],
    ['broker', 'provisioningUrl', provisioningUrl],
    ['broker', 'ingestUrl', ingestUrl],
    ['ingest', 'issuerUrl', issuerUrl],
    ['ingest', 'provisioningUrl', provisioningUrl],
    ['console', 'provisioningUrl', provisioningUrl],
    ['console', 'ingestUrl', ingestUrl],
    ['console', 'brokerUrl', brokerHttpUrl],
    // With it they trust no other, so only where they cannot do without.
    ['broker', 'caFile', isHttps(provisioningUrl) || isHttps(ingestUrl) ? caFile : undefined],
    ['ingest', 'caFile', isHttps(provisioningUrl) ? caFile : undefined],
    ['console', 'caFile', caFile],
  ]
  return Object.fromEntries(
    wires.flatMap(([program, key, value]) =>
      value === undefined || settingOf(source, program, key) !== undefined
        ? []
        : [[nameOf(program, key), value]],
    ),
  )
}

const isHttps = (url: string): boolean => url.startsWith('https:')

function nameOf(program: LocalProgram, key: string): string {
  return settingName(`LOTWATCH_${program.toUpperCase()}`, key)
}

function settingOf(source: SettingsSource, program: LocalProgram, key: string): string | undefined {
  const fromEnv = source.env[nameOf(program, key)]
  if (fromEnv !== undefined && fromEnv !== '') return fromEnv
  const section = memberOf(source.file, program)
  const value = memberOf(section, key)
  return value === undefined || value === null ? undefined : String(value)
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
}

/** An address to listen on is not always one to call. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
