import { randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EnrolRequest } from '../../../../core/contract/enrolment.ts'
import type { RegistryRepository } from '../../../../provisioning/repository/repository.ts'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

let kit: RegistryKit
beforeEach(async () => {
  kit = await openRegistry()
})
afterEach(() => kit.close())

async function newBoard() {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA')
  const jwk = (await exportJWK(publicKey)) as EnrolRequest['publicKey'] // of the kind just made
  const sign = (claims: JWTPayload = {}) =>
    new SignJWT({ aud: 'https://issuer.example/', jti: randomUUID(), ...claims })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'enrol+jwt' })
      .setExpirationTime(kit.clock.nowMs / 1000 + 60)
      .sign(privateKey)
  return { publicKey: jwk, thumbprint: await calculateJwkThumbprint(jwk), sign }
}

/** Something else is committed between what the next change was prepared with and its turn. */
function beforeNextChange(repository: RegistryRepository, first: () => Promise<unknown>): void {
  const { change } = repository
  Object.assign(repository, {
    change: async (...args: Parameters<typeof change>) => {
      Object.assign(repository, { change })
      await first()
      return change(...args)
    },
  })
}

describe('a device that enrols again on proof of its old key', () => {
  const deviceId = 'd1'

  async function enrolled() {
    await kit.registry.devices.register(operator, { deviceId, credential: 'none' })
    const board = await newBoard()
    const { key } = await kit.registry.enrolments.makeKey(operator, { deviceId })
    const proof = await board.sign()
    const answer = await kit.registry.enrolments.enrol({ key, publicKey: board.publicKey, proof })
    if (answer.status !== 'enrolled') throw new Error(answer.status)
    const [credential] = (await kit.registry.devices.show(deviceId)).credentials
    return { board, credentialId: credential?.credentialId ?? '' }
  }

  async function enrolAgain({ board }: Awaited<ReturnType<typeof enrolled>>) {
    const fresh = await newBoard()
    const previous = await board.sign({ iss: deviceId, sub: deviceId, jkt: fresh.thumbprint })
    return { publicKey: fresh.publicKey, proof: await fresh.sign(), previous }
  }

  it('gets another credential', async () => {
    const request = await enrolAgain(await enrolled())

    expect(await kit.registry.enrolments.enrol(request)).toMatchObject({ status: 'enrolled' })
  })

  it('gets none when the old key is revoked between the proof and the decision', async () => {
    const old = await enrolled()
    const request = await enrolAgain(old)
    beforeNextChange(kit.repository, () =>
      kit.registry.credentials.revoke(operator, { of: 'device', oauthClientId: deviceId }, old.credentialId),
    )

    await expect(kit.registry.enrolments.enrol(request)).rejects.toMatchObject({ code: 'enrolment.refused' })

    const { credentials } = await kit.registry.devices.show(deviceId)
    expect(credentials.filter(({ revokedAtMs }) => revokedAtMs === null)).toEqual([])
  })
})
