/** A list of devices, imported as an operator would: dry first, then for good, then once more. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { audiences } from '../../core/contract/principal.ts'
import type { Device } from '../../core/contract/registry.ts'
import { makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'

interface Line {
  line?: number
  deviceId?: string
  verdict?: string
  faults?: string[]
  credential?: CredentialFile
  enrolKey?: string
  summary?: { created: number; unchanged: number; errors: number }
}

const data = makeDataDir()
let provisioning: Provisioning

async function importCsv(content: string, query = ''): Promise<Line[]> {
  const response = await provisioning.operator.response(`/v1/devices/import${query}`, {
    method: 'POST',
    text: { type: 'text/csv', content },
    timeoutMs: 120_000,
  })
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  return (await response.text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}
const count = async () => {
  const { devices } = await provisioning.operator.json<{ devices: Record<string, number> }>('/v1/status')
  return Object.values(devices).reduce((sum, of) => sum + of, 0)
}

beforeAll(async () => {
  provisioning = await startProvisioning(data.path)
  for (const lotId of ['north', 'south'])
    await provisioning.operator.json(`/v1/lots/${lotId}`, {
      method: 'PUT',
      body: { name: lotId, capacities: [] },
    })
})
afterAll(async () => {
  await provisioning.program.stop()
  data.remove()
})

describe('an import', () => {
  const list = [
    'Lot,tags,Device,name',
    'north,a b,gate-n1,"Gate, north"',
    'nroth,,gate-n2,',
    ',,gate n3,',
    'south,,gate-n1,twice',
    'south,,gate-s1,',
  ].join('\r\n')

  it('says of each row what it would do, and does nothing when told so', async () => {
    const lines = await importCsv(list, '?dryRun=true')

    expect(lines).toEqual([
      { line: 2, deviceId: 'gate-n1', verdict: 'created' },
      {
        line: 3,
        deviceId: 'gate-n2',
        verdict: 'error',
        faults: ['column lot: nroth is no lot; did you mean north?'],
      },
      { line: 4, verdict: 'error', faults: [expect.stringContaining('column device')] },
      { line: 5, verdict: 'error', faults: ['column device: gate-n1 is in line 2 already'] },
      { line: 6, deviceId: 'gate-s1', verdict: 'created' },
      { summary: { created: 2, unchanged: 0, errors: 3 } },
    ])
    expect(await count()).toBe(0)
  })

  it('registers the rows that are right, and leaves them as they are the next time', async () => {
    expect((await importCsv(list)).at(-1)).toEqual({ summary: { created: 2, unchanged: 0, errors: 3 } })
    expect((await importCsv(list)).at(-1)).toEqual({ summary: { created: 0, unchanged: 2, errors: 3 } })

    expect(await provisioning.operator.json<Device>('/v1/devices/gate-n1')).toMatchObject({
      name: 'Gate, north',
      tags: ['a', 'b'],
      state: 'registered',
      assignments: [{ lotId: 'north' }],
    })
    const [differing] = await importCsv('device,name\ngate-n1,Another\n')
    expect(differing).toMatchObject({
      verdict: 'error',
      faults: [expect.stringContaining('with another name, tags')],
    })
  })

  it('hands out a secret for each device, or a key to enrol with', async () => {
    const [secret] = await importCsv('device\nwith-secret\n', '?issue=secret')
    const [key] = await importCsv('device,serial\nwith-key,s1\n', '?issue=enrol-key')

    const credential = secret?.credential as CredentialFile
    expect((await tokensOf(credential, audiences.broker).get()).token).toMatch(/^eyJ/)
    expect(key?.enrolKey).toMatch(/^lotenr_/)
    expect(key).not.toHaveProperty('credential')
  })

  it.each([
    ['with a column nobody knows', 'device,colour\nx,red\n', 'column colour'],
    ['with a column twice', 'device,Device\nx,y\n', 'is there twice'],
    ['without identifiers', 'name\nx\n', 'no column device'],
    ['with nothing in it', '', 'empty'],
  ])('of a file %s is refused whole', async (_what, content, fault) => {
    await expect(importCsv(content)).rejects.toMatchObject({
      code: 'request.invalid',
      message: expect.stringContaining(fault),
    })
  })

  it('of ten thousand rows takes one request', async () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => `bulk-${String(i).padStart(5, '0')},north`)
    const before = await count()

    const lines = await importCsv(`device,lot\n${rows.join('\n')}\n`, '?issue=secret')

    expect(lines.at(-1)).toEqual({ summary: { created: 10_000, unchanged: 0, errors: 0 } })
    expect(new Set(lines.slice(0, -1).map(({ credential }) => credential?.client_secret)).size).toBe(10_000)
    expect(await count()).toBe(before + 10_000)
    // They count from one instant on, though they were committed one batch after the other.
    const sinceOf = async (deviceId: string) =>
      (await provisioning.operator.json<{ assignments: { fromMs: number }[] }>(`/v1/devices/${deviceId}`))
        .assignments[0]?.fromMs
    expect(await sinceOf('bulk-09999')).toBe(await sinceOf('bulk-00000'))
  })
})
