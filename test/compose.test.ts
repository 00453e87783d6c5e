/** docker-compose.yml and the Dockerfile, as far as they can be held to the programs without an engine. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TObject } from 'typebox'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { agentSettings } from '../agent/config.ts'
import { brokerSettings, readBrokerConfig } from '../broker/config.ts'
import { consoleSettings, readConsoleConfig } from '../console/config.ts'
import { settingName } from '../core/runtime/env.ts'
import { ingestSettings, readIngestConfig } from '../ingest/config.ts'
import { provisioningSettings, readProvisioningConfig } from '../provisioning/config.ts'
import { root } from '../scripts/build.mjs'

interface Service {
  readonly image: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { condition: string }>>
}

const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
const compose = parse(text, { merge: true }) as {
  services: Readonly<Record<string, Service>>
  volumes: Readonly<Record<string, unknown>>
}
const services = Object.entries(compose.services)

const schemas: Readonly<Record<string, TObject>> = {
  LOTWATCH_PROVISIONING: provisioningSettings,
  LOTWATCH_BROKER: brokerSettings,
  LOTWATCH_INGEST: ingestSettings,
  LOTWATCH_CONSOLE: consoleSettings,
  LOT_AGENT: agentSettings,
}
const settings = new Map(
  Object.entries(schemas).flatMap(([prefix, schema]) =>
    Object.entries(schema.properties).map(([key, property]) => [settingName(prefix, key), property] as const),
  ),
)
const portOf = (name: string) => (settings.get(name) as { default?: number } | undefined)?.default

/** They throw, naming every fault. */
const readers = {
  provisioning: readProvisioningConfig,
  broker: readBrokerConfig,
  ingest: readIngestConfig,
  console: readConsoleConfig,
}

/** Where each service is reached by the others. */
const listening: Readonly<Record<string, number | undefined>> = {
  'https://provisioning': portOf('LOTWATCH_PROVISIONING_PORT'),
  'https://ingest': portOf('LOTWATCH_INGEST_PORT'),
  'https://broker': portOf('LOTWATCH_BROKER_PORT'),
  'mqtts://broker': portOf('LOTWATCH_BROKER_MQTTS_PORT'),
}

describe('docker-compose.yml', () => {
  it('has every program, a store, and an agent', () => {
    expect(services.map(([name]) => name)).toEqual(
      expect.arrayContaining(['provisioning', 'broker', 'ingest', 'console', 'influxdb', 'agent', 'tls']),
    )
  })

  it('names only settings that exist, with values they allow', () => {
    const named = services.flatMap(([, { environment }]) => Object.entries(environment ?? {}))
    const ours = named.filter(([name]) => /^LOT(WATCH|_AGENT)_/.test(name))
    expect(ours.length).toBeGreaterThan(10)
    for (const [name] of ours) expect(settings.has(name), name).toBe(true)
    for (const [name, read] of Object.entries(readers))
      read({ env: compose.services[name]?.environment ?? {}, file: undefined })
  })

  it('reaches every program where its settings put it', () => {
    const urls = [...text.matchAll(/(https|mqtts):\/\/(provisioning|ingest|broker):([0-9]+)/g)]
    expect(urls.length).toBeGreaterThan(5)
    for (const [url, scheme, host, port] of urls)
      expect(Number(port), url).toBe(listening[`${scheme}://${host}`])
  })

  it('publishes the ports that programs listen on, and only the broker’s beyond this machine', () => {
    const published = services.flatMap(([name, { ports = [] }]) =>
      ports.map((port) => [name, ...port.split(':').slice(-2), port.split(':').length === 3] as const),
    )
    expect(published).toEqual([
      ['provisioning', '8081', String(portOf('LOTWATCH_PROVISIONING_PORT')), true],
      ['broker', '8883', String(portOf('LOTWATCH_BROKER_MQTTS_PORT')), false],
      ['ingest', '8082', String(portOf('LOTWATCH_INGEST_PORT')), true],
      ['console', '8080', String(portOf('LOTWATCH_CONSOLE_PORT')), true],
    ])
  })

  it('has ingest store where InfluxDB is told to keep it, for ever', () => {
    const ingest = readIngestConfig({ env: compose.services.ingest?.environment ?? {}, file: undefined })
    const influxdb = compose.services.influxdb?.environment ?? {}
    expect(ingest).toMatchObject({
      store: 'influx',
      influxVersion: 2,
      influxUrl: 'https://influxdb:8086',
      influxOrg: influxdb.DOCKER_INFLUXDB_INIT_ORG,
      influxBucket: influxdb.DOCKER_INFLUXDB_INIT_BUCKET,
      influxToken: influxdb.DOCKER_INFLUXDB_INIT_ADMIN_TOKEN,
    })
    expect(influxdb).not.toHaveProperty('DOCKER_INFLUXDB_INIT_RETENTION')
    expect(compose.services.ingest?.depends_on).toHaveProperty('influxdb')
  })

  it('asks each program for its health where it listens', () => {
    for (const [name, port] of [
      ['provisioning', 'LOTWATCH_PROVISIONING_PORT'],
      ['broker', 'LOTWATCH_BROKER_PORT'],
      ['ingest', 'LOTWATCH_INGEST_PORT'],
      ['console', 'LOTWATCH_CONSOLE_PORT'],
    ] as const) {
      expect(compose.services[name]?.environment?.HEALTH_URL).toBe(`https://127.0.0.1:${portOf(port)}/livez`)
    }
  })

  it('sends nothing in plaintext beyond loopback', () => {
    expect(text).not.toMatch(/\b(http|mqtt|ws):\/\//)
    expect(text).not.toMatch(/INSECURE/)
    for (const [name, { environment = {} }] of services) {
      const isOpen = Object.entries(environment).some(
        ([key, value]) => /_HOST$/.test(key) && value === '0.0.0.0',
      )
      const hasCertificate = Object.keys(environment).some((key) => /TLS_CERT/.test(key))
      if (isOpen || name === 'broker' || name === 'influxdb') expect(hasCertificate, name).toBe(true)
    }
  })

  it('has a certificate made for everyone who shows one', () => {
    const made = (compose.services.tls?.command ?? []).map((argument) => argument.split(':')[0])
    for (const [name, { environment = {} }] of services)
      for (const [key, value] of Object.entries(environment))
        if (/TLS_CERT/.test(key)) {
          expect(value).toBe(`/tls/${name}.pem`)
          expect(made).toContain(name)
        }
  })

  it('has no secret of its own', () => {
    const secrets = services.flatMap(([, { environment }]) =>
      Object.entries(environment ?? {}).filter(([key]) => /PASSWORD|TOKEN|SECRET/.test(key)),
    )
    expect(secrets.length).toBeGreaterThan(0)
    for (const [key, value] of secrets) expect(value, key).toMatch(/^\$\{[A-Z_]+:\?/)
  })

  it('refers only to services and volumes that are there', () => {
    for (const [name, { depends_on: needs = {}, volumes = [] }] of services) {
      for (const need of Object.keys(needs)) expect(compose.services, name).toHaveProperty(need)
      for (const volume of volumes) expect(compose.volumes, name).toHaveProperty(volume.split(':')[0] ?? '')
    }
  })

  it('starts only programs that the build makes', () => {
    const commands = services.flatMap(([, { command = [] }]) => command)
    for (const file of commands.filter((argument) => argument.endsWith('.mjs')))
      expect(existsSync(join(root, file)), file).toBe(true)
  })
})

describe('the Dockerfile', () => {
  const lines = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8').split('\n')

  it('copies only what is there', () => {
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(' ').slice(1, -1))
    expect(copied.length).toBeGreaterThan(3)
    for (const path of copied) expect(existsSync(join(root, path)), path).toBe(true)
  })

  it('ends as a user without rights, with a health check and without development packages', () => {
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')))
    expect(last).toContainEqual('USER node')
    expect(last.some((line) => line.startsWith('HEALTHCHECK '))).toBe(true)
    expect(last.some((line) => line.includes('npm ci --omit=dev'))).toBe(true)
  })
})
