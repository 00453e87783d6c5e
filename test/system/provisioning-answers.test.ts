/** Provisioning answers what its own description says, on every route that can be asked without changing anything. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { IssuedCredential } from '../../core/contract/client.ts'
import { audiences } from '../../core/contract/principal.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { eventually, makeDataDir } from '../kit/program.ts'
import { apiOf, type Provisioning, startProvisioning } from '../kit/provisioning.ts'

interface Operation {
  readonly security: readonly { oauth2?: readonly string[] }[]
  readonly responses: Readonly<Record<string, { content?: Record<string, { schema: object }> }>>
}
type Description = { paths: Record<string, Record<string, Operation>> }

describe('the answers of provisioning', () => {
  const data = makeDataDir()
  let provisioning: Provisioning
  let description: Description
  /** For each parameter of an address, something that is there. */
  const known: Record<string, string> = {
    lotId: 'north',
    deviceId: 'd1',
    oauthClientId: 'auditor',
    audience: audiences.broker,
    name: 'let-by.js',
  }

  beforeAll(async () => {
    mkdirSync(join(data.path, 'rules'))
    writeFileSync(join(data.path, 'rules', 'let-by.js'), 'function (u, c, done) { done(null, u, c) }')
    provisioning = await startProvisioning(data.path)
    const { operator } = provisioning
    const put = (path: string, body: unknown) => operator.json(path, { method: 'PUT', body })
    const post = <Answer>(path: string, body: unknown) =>
      operator.json<Answer>(path, { method: 'POST', body })
    await put('/v1/lots/north', { name: 'North', zone: 'Europe/London', capacities: [] })
    await post('/v1/devices', { deviceId: 'd1', lotId: 'north', tags: ['a'] })
    await put('/v1/devices/d1/config', { everySec: 60 })
    const broker = apiOf(provisioning.url, readCredentialFile(join(data.path, 'services', 'broker.json')))
    const connected = { deviceId: 'd1', connected: true, connectionId: 'c1', atMs: 1000 }
    await broker.json('/v1/presence', {
      method: 'POST',
      body: { brokerId: 'b1', sentAtMs: 1000, presence: [connected] },
    })
    const command = await post<{ commandId: string }>('/v1/devices/d1/commands', { name: 'ping' })
    known.commandId = command.commandId
    const { enrolKey } = await post<{ enrolKey: { enrolKeyId: string } }>('/v1/enrol-keys', { name: 'Key' })
    known.enrolKeyId = enrolKey.enrolKeyId
    const grants = [{ audience: audiences.provisioning, scopes: ['read:audit'] }]
    const body = { oauthClientId: 'auditor', kind: 'service', grants, quota: { perDay: 1000 } }
    const { credential } = await post<IssuedCredential>('/v1/clients', body)
    await apiOf(provisioning.url, credential).json('/v1/audit')
    known.decisionId = await eventually(async () => {
      const { decisions } = await operator.json<{ decisions: { decisionId: string }[] }>('/v1/decisions')
      return decisions[0]?.decisionId
    })
    description = (await (await fetch(`${provisioning.url}/openapi.json`)).json()) as Description
  })
  afterAll(async () => {
    await provisioning.program.stop()
    data.remove()
  })

  it('fit their description', async () => {
    let asked = 0
    for (const [path, { get }] of Object.entries(description.paths)) {
      const schema = get?.responses['200']?.content?.['application/json']?.schema
      if (get === undefined || schema === undefined) continue
      const address = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
        const value = known[name]
        if (value === undefined) throw new Error(`${path}: nothing is known for ${name}`)
        return encodeURIComponent(value)
      })
      const answer = await provisioning.operator.json(address)
      const [, errors] = Compile(schema).Errors(answer)
      expect([path, errors], JSON.stringify(answer)).toEqual([path, []])
      asked++
    }
    expect(asked).toBeGreaterThan(15)
  })
})
