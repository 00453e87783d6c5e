import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Principal } from '../../../../core/contract/principal.ts'
import { createServer } from '../../../../core/runtime/http.ts'
import { createLog } from '../../../../core/runtime/log.ts'
import { registerAuditRoutes } from '../../../../provisioning/routes/audit.ts'
import { createDesk } from '../../../../provisioning/routes/desk.ts'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

describe('the audit log over HTTP', () => {
  let kit: RegistryKit
  let reads: number[]
  let server: ReturnType<typeof createServer>
  const setLot = (lotId: string, name = lotId) =>
    kit.registry.lots.set(operator, lotId, { name, capacities: [] })
  const get = (query: string, accept = 'application/json') =>
    server.inject({ url: `/v1/audit?${query}`, headers: { accept } })

  beforeEach(async () => {
    kit = await openRegistry()
    reads = []
    server = createServer({ log: createLog({ program: 'test', level: 'silent' }) })
    const admitted = { oauthClientId: 'operator' } as Principal // nothing else is looked at here
    const access = { admit: async () => admitted, isStillAdmitted: async () => true }
    registerAuditRoutes(
      server,
      createDesk(() => access),
      () => ({
        repository: {
          auditEntries: (page) => {
            reads.push(page.limit)
            return kit.repository.auditEntries(page)
          },
        },
      }),
    )
  })
  afterEach(async () => {
    await server.close()
    await kit.close()
  })

  it('is exported whole, each entry once, without being read at once', async () => {
    for (let i = 0; i < 1203; i++) await setLot(`lot-${i}`)

    const lines = (await get('limit=1', 'application/x-ndjson')).body
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).auditId as number)

    expect(lines).toEqual(Array.from({ length: lines.length }, (_, i) => lines.length - i))
    expect(lines.length).toBeGreaterThan(1203)
    expect(reads.length).toBeGreaterThan(2)
    expect(Math.max(...reads)).toBeLessThanOrEqual(500)
  })

  it('is exported as far as the filter goes, and says nothing where nothing fits', async () => {
    for (const name of ['a', 'b', 'c']) await setLot('north', name)
    await setLot('south')

    const text = (await get('subject=north', 'application/x-ndjson')).body
    expect(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).after.name),
    ).toEqual(['c', 'b', 'a'])
    expect((await get('actor=nobody', 'application/x-ndjson')).body).toBe('')
    expect((await get('actor=nobody', 'text/csv')).body).toBe(
      'auditId,at,actor,verb,subject,before,after\r\n',
    )
  })

  it('is shown page by page within the filter', async () => {
    for (const name of ['a', 'b', 'c']) await setLot('north', name)
    await setLot('south')

    const first = (await get('subject=north&limit=2')).json()
    const second = (await get(`subject=north&limit=2&cursor=${first.nextCursor}`)).json()

    const names = [...first.entries, ...second.entries].map((entry) => entry.after.name)
    expect(names).toEqual(['c', 'b', 'a'])
    expect(second.nextCursor).toBeUndefined()
  })

  it('quotes what a spreadsheet would break at, and disarms what it would run', async () => {
    await kit.registry.lots.set({ actor: '=HYPERLINK("x")' }, 'north', { name: 'a,"b"', capacities: [] })

    const [, row = ''] = (await get('subject=north', 'text/csv')).body.split('\r\n')

    expect(row).toContain(`"'=HYPERLINK(""x"")"`)
    expect(row).toMatch(/,"\{""name"":""a,\\""b\\""""/)
  })

  it('refuses a filter it does not know', async () => {
    expect((await get('verb=lot.set')).statusCode).toBe(400)
  })
})
