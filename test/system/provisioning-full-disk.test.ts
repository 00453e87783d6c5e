/** Provisioning on a disk that takes nothing any more. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { eventually, makeDataDir, startProgram } from '../kit/program.ts'
import { apiOf, startProvisioning } from '../kit/provisioning.ts'

it('a full disk keeps changes out and tokens going, and nothing that was answered is lost', async () => {
  const data = makeDataDir()
  const program = await startProgram('provisioning', {
    env: { LOTWATCH_DATA: data.path, LOTWATCH_PROVISIONING_PORT: '0' },
    fileBytesMax: 1_000_000,
  })
  const url = String(program.ready.url)
  const operator = apiOf(url, readCredentialFile(join(data.path, 'operator.json')))
  const client = {
    oauthClientId: 'counted',
    kind: 'service',
    grants: [{ audience: audiences.ingest, scopes: ['read:readings'] }],
    quota: { perDay: 1000 },
  }
  const { credential } = await operator.json<IssuedCredential>('/v1/clients', {
    method: 'POST',
    body: client,
  })
  const askForToken = async () => {
    const { client_id, client_secret = '' } = credential
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id,
      client_secret,
      audience: audiences.ingest,
    })
    return (await fetch(`${url}/oauth/token`, { method: 'POST', body })).status
  }
  const setLot = (lotId: string) =>
    operator.json(`/v1/lots/${lotId}`, { method: 'PUT', body: { name: 'x'.repeat(200), capacities: [] } })

  const kept: string[] = []
  const refusal: unknown = await (async () => {
    for (let i = 0; i < 1000; i++) {
      await setLot(`lot-${String(i).padStart(4, '0')}`)
      kept.push(`lot-${String(i).padStart(4, '0')}`)
    }
  })().catch((error: unknown) => error)
  expect(refusal).toMatchObject({ code: 'store.unavailable' })

  // What is small still fits into the file, until decisions have filled it, too. Quotas go on in memory.
  await eventually(async () => {
    expect(await askForToken()).toBe(200)
    return program.lines.some((line) => line.includes('"decisions.unwritten"'))
  }, 15_000)
  expect(await askForToken()).toBe(200)
  expect(await program.stop()).toBe(0)

  const roomy = await startProvisioning(data.path)
  const { lots } = await roomy.operator.json<{ lots: { lotId: string }[] }>('/v1/lots')
  expect(lots.map(({ lotId }) => lotId)).toEqual(kept)
  await roomy.program.stop()
  data.remove()
})
