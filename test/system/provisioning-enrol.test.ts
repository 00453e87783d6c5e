/** How boards become devices, as a board would do it over HTTP, and as an operator sees it. */
import { randomUUID } from 'node:crypto'
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { Agent, fetch as fetchFrom } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialRecord, IssuedCredential } from '../../core/contract/client.ts'
import type { CredentialFile } from '../../core/contract/credential.ts'
import type { Alarm } from '../../core/contract/downlink.ts'
import type { EnrolAnswer, EnrolKey, Enrolment, IssuedEnrolKey } from '../../core/contract/enrolment.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { Assignment, Device } from '../../core/contract/registry.ts'
import { eventually, makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'

type Shown = Device & { credentials: CredentialRecord[]; assignments: Assignment[] }

const data = makeDataDir()
let provisioning: Provisioning
const post = <Answer>(path: string, body?: unknown) =>
  provisioning.operator.json<Answer>(path, { method: 'POST', ...(body === undefined ? {} : { body }) })
const get = <Answer>(path: string) => provisioning.operator.json<Answer>(path)

let boards = 0

/** A board with a key pair and an address of its own: one that is refused does not hold up the others. */
class Board {
  readonly #agent = new Agent({ localAddress: `127.0.1.${1 + (boards++ % 250)}` })

  readonly privateKey: CryptoKey
  readonly publicKey: JWK
  readonly private: JWK

  private constructor(privateKey: CryptoKey, publicKey: JWK, ofPrivate: JWK) {
    this.privateKey = privateKey
    this.publicKey = publicKey
    this.private = ofPrivate
  }

  static async make(alg: 'EdDSA' | 'ES256' = 'EdDSA'): Promise<Board> {
    const pair = await generateKeyPair(alg, { extractable: true })
    return new Board(pair.privateKey, await exportJWK(pair.publicKey), await exportJWK(pair.privateKey))
  }

  sign(claims: Record<string, unknown> = {}): Promise<string> {
    const alg = this.publicKey.kty === 'OKP' ? 'EdDSA' : 'ES256'
    return new SignJWT({ aud: provisioning.url, jti: randomUUID(), ...claims })
      .setProtectedHeader({ alg, typ: 'enrol+jwt' })
      .setExpirationTime('1m')
      .sign(this.privateKey)
  }

  async enrol(
    body: Record<string, unknown>,
  ): Promise<{ status: number; answer: EnrolAnswer & { code?: string } }> {
    const proof = body.proof ?? (await this.sign())
    const response = await fetchFrom(`${provisioning.url}/v1/enrol`, {
      dispatcher: this.#agent,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ publicKey: this.publicKey, ...body, proof }),
    })
    return { status: response.status, answer: (await response.json()) as EnrolAnswer & { code?: string } }
  }

  /** Whether the credential it got, with the private half it kept, gets tokens. */
  async canAuthenticate(file: CredentialFile): Promise<boolean> {
    const credential = { ...file, private_key_jwk: this.private } as CredentialFile // it has kty and d
    return tokensOf(credential, audiences.broker)
      .get()
      .then(
        () => true,
        () => false,
      )
  }
}

const fileOf = ({ answer }: { answer: EnrolAnswer }): CredentialFile => {
  if (answer.status !== 'enrolled') throw new Error(JSON.stringify(answer))
  return answer.credential
}
const refusal = {
  status: 403,
  answer: expect.objectContaining({ code: 'enrolment.refused', detail: 'enrolment refused' }),
}

beforeAll(async () => {
  provisioning = await startProvisioning(data.path)
  await provisioning.operator.json('/v1/lots/north', {
    method: 'PUT',
    body: { name: 'North', capacities: [] },
  })
})
afterAll(async () => {
  await provisioning.program.stop()
  data.remove()
})

describe('an enrolment key', () => {
  it.each(['EdDSA', 'ES256'] as const)('makes a board with an %s key a device of its lot', async (alg) => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', { lotId: 'north', tags: ['batch-7'] })
    const board = await Board.make(alg)

    const enrolled = await board.enrol({ key, board: { serial: `s-${alg}`, bootId: 'b1' } })

    expect(enrolled.status).toBe(201)
    const file = fileOf(enrolled)
    expect(file).toMatchObject({ token_endpoint_auth_method: 'private_key_jwt', client_id: file.deviceId })
    expect(file).not.toHaveProperty('client_secret')
    expect(file).not.toHaveProperty('private_key_jwk')
    expect(await board.canAuthenticate(file)).toBe(true)
    const device = await get<Shown>(`/v1/devices/${file.deviceId}`)
    expect(device).toMatchObject({ tags: ['batch-7'], board: { serial: `s-${alg}` } })
    expect(device.assignments).toMatchObject([{ lotId: 'north', toMs: null }])
    expect(device.credentials).toMatchObject([
      { of: 'key', thumbprint: await calculateJwkThumbprint(board.publicKey) },
    ])
  })

  it('gives the same answer to the same board again, and counts it once', async () => {
    const { key, enrolKey } = await post<IssuedEnrolKey>('/v1/enrol-keys', {})
    const board = await Board.make()

    const first = await board.enrol({ key })
    const second = await board.enrol({ key })

    expect(fileOf(second)).toEqual(fileOf(first))
    expect((await get<EnrolKey>(`/v1/enrol-keys/${enrolKey.enrolKeyId}`)).uses).toBe(1)
  })

  it('lets in as many boards as it says, however many come at once', async () => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', { usesMax: 3 })
    const boards = await Promise.all(Array.from({ length: 6 }, () => Board.make()))

    const answers = await Promise.all(boards.map((board) => board.enrol({ key })))

    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3)
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(3)
  })

  it('with a list of serials lets in these boards only', async () => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', { serials: ['good'], usesMax: 9 })

    expect(await (await Board.make()).enrol({ key, board: { serial: 'bad' } })).toEqual(refusal)
    expect(await (await Board.make()).enrol({ key })).toEqual(refusal)
    expect((await (await Board.make()).enrol({ key, board: { serial: 'good' } })).status).toBe(201)
  })

  it('that was revoked lets in nobody, and says no more than one that never was', async () => {
    const { key, enrolKey } = await post<IssuedEnrolKey>('/v1/enrol-keys', {})
    await provisioning.operator.json(`/v1/enrol-keys/${enrolKey.enrolKeyId}`, { method: 'DELETE' })

    const revoked = await (await Board.make()).enrol({ key })
    const unknown = await (await Board.make()).enrol({ key: 'lotenr_x' })

    expect(revoked).toEqual(refusal)
    expect(unknown).toEqual(revoked)
  })

  it('does not take the identity of a device that is there', async () => {
    await post('/v1/devices', { deviceId: 'mine' })
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', { usesMax: 9 })

    expect(await (await Board.make()).enrol({ key, deviceId: 'mine' })).toEqual(refusal)
    expect((await get<Shown>('/v1/devices/mine')).credentials).toHaveLength(1)
  })

  it('for one device makes the board that device', async () => {
    await post('/v1/devices', { deviceId: 'planned', credential: 'none' })
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', { deviceId: 'planned' })
    const board = await Board.make()

    const file = fileOf(await board.enrol({ key }))

    expect(file.deviceId).toBe('planned')
    expect((await get<Shown>('/v1/devices/planned')).state).toBe('enrolled')
    expect(await board.canAuthenticate(file)).toBe(true)
    await eventually(async () => (await get<Shown>('/v1/devices/planned')).state === 'active')
  })

  it('with approval by hand makes the board wait until an operator has compared fingerprints', async () => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', { approval: 'manual', usesMax: 2 })
    const [wanted, unwanted] = [await Board.make(), await Board.make()]

    const { status, answer } = await wanted.enrol({ key, deviceId: 'waiting' })
    await unwanted.enrol({ key, deviceId: 'unwanted' })

    const thumbprint = await calculateJwkThumbprint(wanted.publicKey)
    expect(status).toBe(202)
    expect(answer).toMatchObject({ status: 'pending', retryAfterSec: expect.any(Number) })
    const { enrolments } = await get<{ enrolments: Enrolment[] }>('/v1/enrolments?state=pending')
    const of = (deviceId: string) => enrolments.find((one) => one.deviceId === deviceId)
    expect(of('waiting')?.fingerprint.replaceAll(' ', '')).toBe(thumbprint)
    await post(`/v1/enrolments/${of('waiting')?.enrolmentId}/approve`)
    await post(`/v1/enrolments/${of('unwanted')?.enrolmentId}/reject`)
    const file = fileOf(await wanted.enrol({ key }))
    expect(await wanted.canAuthenticate(file)).toBe(true)
    expect(await unwanted.enrol({ key })).toEqual(refusal)
  })

  it('with approval by hand lets nobody take a name that became a device’s while it waited', async () => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', { approval: 'manual', usesMax: 2 })
    const [first, second] = [await Board.make(), await Board.make()]
    const ids: string[] = []
    for (const board of [first, second]) {
      const { answer } = await board.enrol({ key, deviceId: 'coveted' })
      ids.push(answer.status === 'pending' ? answer.enrolmentId : '')
    }
    await post(`/v1/enrolments/${ids[0]}/approve`)

    await expect(post(`/v1/enrolments/${ids[1]}/approve`)).rejects.toMatchObject({ code: 'request.conflict' })

    expect(await first.canAuthenticate(fileOf(await first.enrol({ key })))).toBe(true)
    await post(`/v1/enrolments/${ids[1]}/reject`)
  })
})

describe('the proof of the new key', () => {
  it.each<[string, (board: Board) => Promise<string>]>([
    ['by another key', async () => (await Board.make()).sign()],
    ['for another server', (board) => board.sign({ aud: 'https://other.example' })],
    ['without a number', (board) => board.sign({ jti: undefined })],
    ['that is none', async () => 'x'],
  ])('%s is refused', async (_what, prove) => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', {})
    const board = await Board.make()

    expect(await board.enrol({ key, proof: await prove(board) })).toEqual(refusal)
  })

  it('counts once', async () => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', {})
    const board = await Board.make()
    const proof = await board.sign()

    expect((await board.enrol({ key, proof })).status).toBe(201)
    expect(await board.enrol({ key, proof })).toEqual(refusal)
  })
})

describe('a stranger', () => {
  it('leaves nothing behind: the proof of who has no ground to enrol is not even written down', async () => {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', {})
    const board = await Board.make()
    const proof = await board.sign()

    expect(await board.enrol({ key: 'lotenr_nobody-made-this-one', proof })).toEqual(refusal)

    expect((await board.enrol({ key, proof })).status).toBe(201)
  })
})

describe('a device that is there', () => {
  async function enrolled(
    serial?: string,
  ): Promise<{ board: Board; file: CredentialFile; deviceId: string }> {
    const { key } = await post<IssuedEnrolKey>('/v1/enrol-keys', {})
    const board = await Board.make()
    const shown = serial === undefined ? {} : { board: { serial, bootId: 'b1' } }
    const file = fileOf(await board.enrol({ key, ...shown }))
    return { board, file, deviceId: file.deviceId ?? '' }
  }

  it('enrols again on proof of its old key, which then lasts for a grace', async () => {
    const { board, file, deviceId } = await enrolled()
    const fresh = await Board.make()
    const jkt = await calculateJwkThumbprint(fresh.publicKey)

    const previous = await board.sign({ iss: deviceId, sub: deviceId, jkt })
    const next = fileOf(await fresh.enrol({ previous }))

    expect(next.deviceId).toBe(deviceId)
    expect(await fresh.canAuthenticate(next)).toBe(true)
    expect(await board.canAuthenticate(file)).toBe(true)
    const { credentials } = await get<Shown>(`/v1/devices/${deviceId}`)
    expect(credentials.map(({ expiresAtMs }) => expiresAtMs !== null)).toEqual([true, false])
  })

  it('gets a key for its client secret, which then lasts for a grace', async () => {
    const { credential } = await post<IssuedCredential>('/v1/devices', { deviceId: 'secretive' })
    const board = await Board.make()

    const next = fileOf(await board.enrol({ deviceId: 'secretive', secret: credential.client_secret }))

    expect(next).toMatchObject({ deviceId: 'secretive', token_endpoint_auth_method: 'private_key_jwt' })
    expect(await board.canAuthenticate(next)).toBe(true)
    await tokensOf(credential, audiences.broker).get()
    const { credentials } = await get<Shown>('/v1/devices/secretive')
    expect(credentials.map(({ expiresAtMs }) => expiresAtMs !== null)).toEqual([true, false])
  })

  it('gets none for a secret that is not its own, is of no device, or was revoked', async () => {
    const [own, other] = await Promise.all(
      ['secretive-2', 'secretive-3'].map((deviceId) => post<IssuedCredential>('/v1/devices', { deviceId })),
    )
    const shop = { oauthClientId: 'shop', kind: 'service', grants: [] }
    const client = await post<IssuedCredential>('/v1/clients', shop)
    const tries = [
      { deviceId: 'secretive-2', secret: other?.credential.client_secret },
      { deviceId: 'secretive-2', secret: 'guessed' },
      { deviceId: 'shop', secret: client.credential.client_secret },
      { secret: own?.credential.client_secret },
    ]
    for (const body of tries) expect(await (await Board.make()).enrol(body)).toEqual(refusal)
    await provisioning.operator.json(`/v1/devices/secretive-2/credentials/${own?.credential.credentialId}`, {
      method: 'DELETE',
    })
    const revoked = { deviceId: 'secretive-2', secret: own?.credential.client_secret }
    expect(await (await Board.make()).enrol(revoked)).toEqual(refusal)
  })

  it('does not enrol again on a proof for another new key, or by a key that is not its own', async () => {
    const { board, deviceId } = await enrolled()
    const [fresh, thief] = [await Board.make(), await Board.make()]
    const jkt = await calculateJwkThumbprint(fresh.publicKey)

    const previous = await board.sign({ iss: deviceId, sub: deviceId, jkt })
    expect(await thief.enrol({ previous })).toEqual(refusal)
    const forged = await thief.sign({
      iss: deviceId,
      sub: deviceId,
      jkt: await calculateJwkThumbprint(thief.publicKey),
    })
    expect(await thief.enrol({ previous: forged })).toEqual(refusal)
  })

  it('enrols again in a window by the board that is known, once, and what it had is void', async () => {
    const { board, file, deviceId } = await enrolled('s-window')
    const [fresh, other] = [await Board.make(), await Board.make()]
    const shown = { deviceId, board: { serial: 's-window', bootId: 'b2' } }
    expect(await fresh.enrol(shown)).toEqual(refusal)

    await post(`/v1/devices/${deviceId}/enrol-window`, { lifeSec: 600 })
    expect(await other.enrol({ deviceId, board: { serial: 'another' } })).toEqual(refusal)
    const next = fileOf(await fresh.enrol(shown))

    expect(await fresh.canAuthenticate(next)).toBe(true)
    expect(await board.canAuthenticate(file)).toBe(false)
    expect(await other.enrol(shown)).toEqual(refusal)
  })

  it('of which no board is known waits for an operator also in a window', async () => {
    const { deviceId } = await enrolled()
    await post(`/v1/devices/${deviceId}/enrol-window`)

    expect(await (await Board.make()).enrol({ deviceId })).toMatchObject({ status: 202 })
  })

  it('has only so many boards wait in its window, and is told why a suspended one gets none', async () => {
    const { deviceId } = await enrolled()
    await post(`/v1/devices/${deviceId}/enrol-window`)
    const ids: string[] = []
    for (let i = 0; i < 10; i++) {
      const { answer } = await (await Board.make()).enrol({ deviceId })
      ids.push(answer.status === 'pending' ? answer.enrolmentId : '')
    }

    expect(await (await Board.make()).enrol({ deviceId })).toEqual(refusal)
    await post(`/v1/enrolments/${ids[0]}/reject`)
    expect(await (await Board.make()).enrol({ deviceId })).toMatchObject({ status: 202 })

    await post(`/v1/devices/${deviceId}/suspend`)
    await expect(post(`/v1/enrolments/${ids[1]}/approve`)).rejects.toMatchObject({ code: 'request.conflict' })
  })

  it('shown by two boards raises an alarm that names both, once', async () => {
    const { file, board, deviceId } = await enrolled('first')
    const ask = async (serial: string, bootId: string) => {
      const assertion = await new SignJWT()
        .setProtectedHeader({ alg: 'EdDSA' })
        .setIssuer(deviceId)
        .setSubject(deviceId)
        .setAudience(file.issuer)
        .setJti(randomUUID())
        .setExpirationTime('1m')
        .sign(board.privateKey)
      const response = await fetch(file.token_endpoint, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion,
          board_serial: serial,
          boot_id: bootId,
        }),
      })
      expect(response.status).toBe(200)
    }
    const alarms = async () =>
      (await get<{ alarms: Alarm[] }>('/v1/alarms')).alarms.filter(({ subject }) => subject === deviceId)
    const bootIdSeen = (bootId: string) =>
      eventually(async () => (await get<Shown>(`/v1/devices/${deviceId}`)).board?.bootId === bootId)

    await ask('first', 'b2')
    await bootIdSeen('b2')
    expect(await alarms()).toEqual([])

    await ask('second', 'x1')
    await bootIdSeen('x1')
    await ask('first', 'b3')
    await bootIdSeen('b3')

    const raised = await alarms()
    expect(raised).toMatchObject([
      { kind: 'board.conflict', detail: { known: { serial: 'first' }, seen: { serial: 'second' } } },
    ])
    await post(`/v1/alarms/${raised[0]?.alarmId}/acknowledge`)
    expect((await alarms())[0]?.acknowledgedAtMs).toEqual(expect.any(Number))
  })
})
