/** The broker as a process, with real provisioning and ingest around it: who gets in, what is acknowledged, who is cut. */
import { createHash } from 'node:crypto'
import { existsSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { QuarantineRow } from '../../core/contract/query.ts'
import { RawClient } from '../kit/mqtt.ts'
import { eventually, startProgram } from '../kit/program.ts'
import { System } from '../kit/system.ts'

const epochOf = (deviceId: string) => createHash('sha256').update(deviceId).digest('hex').slice(0, 16)

function message(deviceId: string, seq: number, occupied: unknown = 1): string {
  const timestampMs = Date.UTC(2026, 0, 1) + seq * 60_000
  return JSON.stringify({ v: 1, epoch: epochOf(deviceId), readings: [{ seq, timestampMs, occupied }] })
}

describe('the broker', () => {
  let system: System

  beforeAll(async () => {
    system = await System.start({
      env: {
        broker: { LOTWATCH_BROKER_SKEW_SEC: '0', LOTWATCH_BROKER_HANDOVER_DEADLINE_MS: '1500' },
        provisioning: { LOTWATCH_PROVISIONING_TOKEN_LIFE_SEC: '10' },
      },
    })
  })
  afterAll(async () => {
    await system.stop()
  })

  const connect = (deviceId: string, token: string) =>
    RawClient.connect(system.mqttPort, {
      clientId: deviceId,
      username: deviceId,
      password: Buffer.from(token),
    })

  async function admitted(
    deviceId: string,
  ): Promise<{ client: RawClient; credential: CredentialFile; token: string }> {
    const { credential } = await system.register(deviceId)
    const token = await system.deviceToken(credential)
    const client = await connect(deviceId, token)
    expect((await client.next('connack')).returnCode).toBe(0)
    return { client, credential, token }
  }
  const expiryOf = (token: string): number =>
    JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).exp
  /** `exp` has whole seconds: asked for again until it is a later one. */
  const laterToken = (credential: CredentialFile, token: string) =>
    eventually(async () => {
      const next = await system.deviceToken(credential)
      return expiryOf(next) > expiryOf(token) && next
    })
  const returnCodeOf = async (deviceId: string, token: string) =>
    (await (await connect(deviceId, token)).next('connack')).returnCode
  const storedSeqs = async (deviceId: string) =>
    (await system.stored({ device: deviceId })).rows.map((row) => row.seq)

  it('acknowledges a reading when it can be queried', async () => {
    const { client } = await admitted('reader')
    client.publish(1, 'devices/reader/readings', message('reader', 1, 42))
    await client.next('puback')
    expect((await system.stored({ device: 'reader' })).rows).toMatchObject([
      { seq: 1, occupied: 42, lotId: 'reader' },
    ])
    client.close()
  })

  it('acknowledges a redelivery, and the reading stays one', async () => {
    const { client } = await admitted('again')
    for (const id of [1, 2]) {
      client.publish(id, 'devices/again/readings', message('again', 1))
      expect((await client.next('puback')).messageId).toBe(id)
    }
    expect(await storedSeqs('again')).toEqual([1])
    client.close()
  })

  it('counts what was known already apart from what was stored', async () => {
    const countOf = async (verdict: string) => {
      const text = await (await fetch(`${system.ingestUrl}/metrics`)).text()
      return Number(
        new RegExp(`^lotwatch_ingest_readings_total\\{verdict="${verdict}"\\} (\\d+)$`, 'm').exec(text)?.[1],
      )
    }
    const verdicts = ['stored', 'redelivered', 'duplicate', 'conflict']
    const before = await Promise.all(verdicts.map(countOf))
    const { client } = await admitted('counted')
    const once = message('counted', 1, 5)
    const payloads = [
      once,
      once,
      once.replace('"seq":1', '"seq":2'),
      message('counted', 1, 6).replace('"seq":1', '"seq":3'),
    ]
    for (const [i, payload] of payloads.entries()) {
      client.publish(i + 1, 'devices/counted/readings', payload)
      await client.next('puback')
    }
    const after = await Promise.all(verdicts.map(countOf))
    expect(after.map((count, i) => count - (before[i] ?? 0))).toEqual([1, 1, 1, 1])
    client.close()
  })

  it('sets aside what can never be right, acknowledges it, and lets the connection live', async () => {
    const { client } = await admitted('clumsy')
    const bad = [
      'not json',
      '{}',
      message('clumsy', 1, -5),
      message('clumsy', 2, 1.5),
      message('clumsy', 3, 'many'),
      JSON.stringify({ v: 2, readings: [] }),
    ]
    for (const [i, payload] of bad.entries()) {
      client.publish(i + 1, 'devices/clumsy/readings', payload)
      await client.next('puback')
    }
    client.publish(99, 'devices/clumsy/readings', message('clumsy', 4, 7))
    await client.next('puback')
    expect(await storedSeqs('clumsy')).toEqual([4])
    const { rows } = await system.queries.json<{ rows: QuarantineRow[] }>('/v1/quarantine', {
      query: { device: 'clumsy' },
    })
    expect(rows.map((row) => row.reason).sort()).toEqual([
      'payload.invalid',
      'payload.invalid',
      'payload.unparsable',
      'reading.negative',
      'reading.not_integer',
      'reading.type',
    ])
    client.close()
  })

  describe('closes the connection', () => {
    it.each([
      ['another device’s topic', 'devices/reader/readings'],
      ['a topic that does not exist', 'devices/intruder/secrets'],
      ['a system topic', '$SYS/broker/new/clients'],
    ])('on a PUBLISH to %s, and stores nothing of it', async (_what, topic) => {
      const deviceId = `intruder-${createHash('md5').update(topic).digest('hex').slice(0, 6)}`
      const { client } = await admitted(deviceId)
      client.publish(1, topic, message(deviceId, 1))
      await client.closed()
      expect(client.packets).toEqual([])
      expect(await storedSeqs(deviceId)).toEqual([])
    })

    it('on a packet over 64 KiB', async () => {
      const { client } = await admitted('large')
      client.publish(1, 'devices/large/readings', Buffer.alloc(70_000, 0x20))
      await client.closed()
    })

    it('when its token expires, and not when a later one was accepted on it', async () => {
      const idle = await admitted('idle')
      const renewing = await admitted('renewing')
      const later = await laterToken(renewing.credential, renewing.token)
      renewing.client.publish(1, 'authz-info', later)
      await renewing.client.next('puback')
      await eventually(() => idle.client.isClosed, 20_000, 50)
      // The sweep runs once a second.
      expect(Date.now() / 1000 - expiryOf(idle.token)).toBeGreaterThanOrEqual(0)
      expect(Date.now() / 1000 - expiryOf(idle.token)).toBeLessThan(2.5)
      renewing.client.publish(2, 'devices/renewing/readings', message('renewing', 1))
      await renewing.client.next('puback')
      renewing.client.close()
    }, 30_000)

    it('on a renewal with the token of another device, or with one that ends no later', async () => {
      const { client: thief } = await admitted('thief')
      const { client: late, credential, token } = await admitted('late')
      thief.publish(1, 'authz-info', await laterToken(credential, token))
      late.publish(1, 'authz-info', token)
      await Promise.all([thief.closed(), late.closed()])
    })

    it('of a device within a second of its suspension, its retirement, and the end of its credential', async () => {
      const acts: [string, (deviceId: string, credential: CredentialFile) => Promise<unknown>][] = [
        ['suspended', (id) => system.registry.json(`/v1/devices/${id}/suspend`, { method: 'POST' })],
        ['retired', (id) => system.registry.json(`/v1/devices/${id}/retire`, { method: 'POST' })],
        [
          'revoked',
          (id, { credentialId }) =>
            system.registry.json(`/v1/devices/${id}/credentials/${credentialId}`, { method: 'DELETE' }),
        ],
      ]
      for (const [deviceId, act] of acts) {
        const { client, credential, token } = await admitted(deviceId)
        await act(deviceId, credential)
        await eventually(() => client.isClosed, 1000)
        expect(await returnCodeOf(deviceId, token), deviceId).toBe(5)
      }
    })
  })

  it('replaces a device’s older connection by its newer one', async () => {
    const { client, token } = await admitted('twin')
    const newer = await connect('twin', token)
    expect((await newer.next('connack')).returnCode).toBe(0)
    await client.closed()
    newer.publish(1, 'devices/twin/readings', message('twin', 1))
    await newer.next('puback')
    newer.close()
  })

  it('asks devices to come back while ingest is away, and takes everything when it is there again', async () => {
    const { client, token } = await admitted('patient')
    client.publish(1, 'devices/patient/readings', message('patient', 1))
    await client.next('puback')
    await system.kill('ingest')
    client.publish(2, 'devices/patient/readings', message('patient', 2))
    await client.closed()
    expect(client.packets).toEqual([])
    expect(await returnCodeOf('patient', token)).toBe(3)
    await system.restart('ingest')
    const back = await eventually(async () => {
      const attempt = await connect('patient', token)
      if ((await attempt.next('connack')).returnCode === 0) return attempt
      throw new Error('not yet')
    })
    back.publish(2, 'devices/patient/readings', message('patient', 2))
    await back.next('puback')
    expect(await storedSeqs('patient')).toEqual([1, 2])
    back.close()
  })

  it('hands nothing over to another store than the one that took readings before', async () => {
    const { client, token } = await admitted('faithful')
    client.publish(1, 'devices/faithful/readings', message('faithful', 1))
    await client.next('puback')
    const databases = ['readings.duckdb', 'readings.duckdb.wal'].map((name) => join(system.data, name))
    const put = (from: string, to: string) => {
      for (const path of databases) if (existsSync(path + from)) renameSync(path + from, path + to)
    }
    const admittedAgain = () =>
      eventually(async () => {
        const attempt = await connect('faithful', token)
        return (await attempt.next('connack')).returnCode === 0 && attempt
      })

    await system.kill('ingest')
    put('', '.before')
    await system.restart('ingest')
    const refused = await admittedAgain()
    refused.publish(2, 'devices/faithful/readings', message('faithful', 2))
    await refused.closed()
    expect(refused.packets).toEqual([])
    expect(await storedSeqs('faithful')).toEqual([])

    await system.kill('ingest')
    for (const path of databases) rmSync(path, { force: true })
    put('.before', '')
    await system.restart('ingest')
    const back = await admittedAgain()
    back.publish(2, 'devices/faithful/readings', message('faithful', 2))
    await back.next('puback')
    expect(await storedSeqs('faithful')).toEqual([1, 2])
    back.close()
  })

  it('shows operators who is connected, and closes a connection for them', async () => {
    const { client, credential } = await admitted('watched')
    const url = `http://127.0.0.1:${system.program('broker').ready.httpPort}/v1/connections`
    const { operator } = system
    const asOperator = async (path: string, init: RequestInit = {}) => {
      const { token } = await system.tokensOf(operator, audiences.broker).get()
      return fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${token}` } })
    }
    const { connections } = (await (await asOperator('')).json()) as {
      connections: { deviceId: string; credentialId: string }[]
    }
    expect(connections.find(({ deviceId }) => deviceId === 'watched')).toMatchObject({
      credentialId: credential.credentialId,
    })
    expect((await asOperator('/watched', { method: 'DELETE' })).status).toBe(204)
    await client.closed()
    expect((await asOperator('/watched', { method: 'DELETE' })).status).toBe(404)
    expect((await fetch(url)).status).toBe(401)
    const asDevice = { headers: { authorization: `Bearer ${await system.deviceToken(credential)}` } }
    expect((await fetch(url, asDevice)).status).toBe(403)
  })

  it('settles what it holds before it stops', async () => {
    const { client } = await admitted('last')
    const ids = Array.from({ length: 100 }, (_, i) => i + 1)
    for (const id of ids) client.publish(id, 'devices/last/readings', message('last', id))
    await client.next('puback')
    expect(await system.program('broker').stop()).toBe(0)
    await client.closed()
    const acknowledged = 1 + client.packets.length
    const stored = await storedSeqs('last')
    expect(stored.length).toBeGreaterThanOrEqual(acknowledged)
    await system.restart('broker')
  })

  it('keeps what it and the others write from other users', () => {
    for (const name of ['readings.duckdb', 'registry.db', 'keys', 'operator.json', 'services/broker.json'])
      expect(statSync(join(system.data, name)).mode & 0o077, name).toBe(0)
  })

  it('never writes a token', () => {
    for (const line of system.lines()) expect(line).not.toMatch(/eyJ|lotsec_/)
  })
})

describe('started wrongly', () => {
  const env = { LOTWATCH_DATA: '/nonexistent', LOTWATCH_BROKER_CREDENTIAL_FILE: '/nonexistent' }

  it('the broker names every fault of its settings at once and ends with 78', async () => {
    const faulty = {
      ...env,
      LOTWATCH_BROKER_PORT: 'eighty',
      LOTWATCH_BROKER_BATCHES_IN_FLIGHT_MAX: '0',
      LOTWATCH_BROKER_MQTT_PROT: '1883',
    }
    const failure = await startProgram('broker', { env: faulty }).catch(String)
    expect(failure).toContain('ended with 78')
    expect(failure).toContain('LOTWATCH_BROKER_PORT: must be integer')
    expect(failure).toContain('LOTWATCH_BROKER_BATCHES_IN_FLIGHT_MAX: must be >= 1')
    expect(failure).toContain(
      'LOTWATCH_BROKER_MQTT_PROT: unknown setting; did you mean LOTWATCH_BROKER_MQTT_PORT?',
    )
  })

  it('the broker refuses plaintext beyond loopback', async () => {
    const failure = await startProgram('broker', {
      env: { ...env, LOTWATCH_BROKER_MQTT_HOST: '0.0.0.0' },
    }).catch(String)
    expect(failure).toContain('ended with 78')
    expect(failure).toContain('LOTWATCH_BROKER_MQTT_HOST')
  })
})
