/** `kill -9` while the registry changes: each change is there whole or not at all, and all that was answered is there. */
import { expect, it } from 'vitest'
import type { CredentialRecord } from '../../core/contract/client.ts'
import type { Assignment, Device } from '../../core/contract/registry.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import { makeDataDir } from '../kit/program.ts'
import { type Provisioning, startProvisioning, tokensOf } from '../kit/provisioning.ts'
import { anyMoment } from '../kit/random.ts'

const isLong = process.env.LOTWATCH_TEST_LONG === 'true'
const rounds = isLong ? 200 : 20

interface AuditEntry {
  readonly auditId: number
  readonly verb: string
  readonly subject: string
}

async function allAudit({ operator }: Provisioning): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = []
  let cursor: string | undefined
  do {
    const page = await operator.json<{ entries: AuditEntry[]; nextCursor?: string }>('/v1/audit', {
      query: { limit: 1000, cursor },
    })
    entries.push(...page.entries)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return entries.reverse()
}

async function allDevices({ operator }: Provisioning): Promise<Device[]> {
  const devices: Device[] = []
  let cursor: string | undefined
  do {
    const page = await operator.json<{ devices: Device[]; nextCursor?: string }>('/v1/devices', {
      query: { limit: 1000, cursor },
    })
    devices.push(...page.devices)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return devices
}

/** Every event of the feed since the beginning, until one that is known to be the last. */
async function allEvents({ url }: Provisioning, dataDir: string, lastLotId: string): Promise<string[]> {
  const credential = readCredentialFile(`${dataDir}/services/ingest.json`)
  const { token } = await tokensOf(credential, 'urn:lotwatch:provisioning').get()
  const response = await fetch(`${url}/v1/feed`, {
    headers: { authorization: `Bearer ${token}`, 'last-event-id': '0' },
  })
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.includes(`"lotId":"${lastLotId}"`)) break
  }
  return [...text.matchAll(/^event: (.+)\ndata: (.+)$/gm)].map(([, type, data]) => `${type} ${data}`)
}

it('registry changes survive a kill whole or not at all', {
  timeout: isLong ? 1_800_000 : 300_000,
}, async () => {
  const data = makeDataDir()
  const answered = new Map<string, 'enrolled' | 'suspended'>()
  let provisioning = await startProvisioning(data.path)
  await provisioning.operator.json('/v1/lots/north', {
    method: 'PUT',
    body: { name: 'North', capacities: [] },
  })

  for (let round = 0; round < rounds; round++) {
    const { operator } = provisioning
    let begun = () => {}
    const first = new Promise<void>((resolve) => {
      begun = resolve
    })
    // Four at once, each registering devices and suspending every other one, until the process is gone.
    const workers = Array.from({ length: 4 }, async (_, worker) => {
      for (let i = 0; ; i++) {
        const deviceId = `d-${round}-${worker}-${i}`
        await operator.json('/v1/devices', { method: 'POST', body: { deviceId, lotId: 'north' } })
        answered.set(deviceId, 'enrolled')
        begun()
        if (i % 2 === 0) continue
        await operator.json(`/v1/devices/${deviceId}/suspend`, { method: 'POST' })
        answered.set(deviceId, 'suspended')
      }
    })
    const gone = Promise.allSettled(workers)
    await Promise.race([first, gone])
    await anyMoment(Math.random, 150)
    await provisioning.program.kill()
    await gone
    provisioning = await startProvisioning(data.path)
  }
  await provisioning.operator.json('/v1/lots/end', { method: 'PUT', body: { name: 'End', capacities: [] } })

  const devices = await allDevices(provisioning)
  const audit = await allAudit(provisioning)
  const events = await allEvents(provisioning, data.path, 'end')
  const states = new Map(devices.map(({ deviceId, state }) => [deviceId, state]))
  expect(answered.size).toBeGreaterThanOrEqual(rounds)
  for (const [deviceId, state] of answered) {
    // A suspension that was on its way may have come through unanswered.
    expect(state === 'suspended' ? ['suspended'] : ['enrolled', 'suspended']).toContain(states.get(deviceId))
  }
  const check = async ({ deviceId, state }: Device) => {
    const shown = await provisioning.operator.json<{
      credentials: CredentialRecord[]
      assignments: Assignment[]
    }>(`/v1/devices/${deviceId}`)
    expect([shown.credentials.length, shown.assignments.length], deviceId).toEqual([1, 1])
    const verbs = audit.filter(({ subject }) => subject === deviceId).map(({ verb }) => verb)
    expect(verbs, deviceId).toEqual(
      state === 'suspended' ? ['device.registered', 'device.suspended'] : ['device.registered'],
    )
    const told = events.filter((event) => event.includes(`"${deviceId}"`)).map((event) => event.split(' ')[0])
    expect(told, deviceId).toEqual([
      'device',
      'assignment',
      ...(state === 'suspended' ? ['device', 'revocation'] : []),
    ])
  }
  for (let i = 0; i < devices.length; i += 16) await Promise.all(devices.slice(i, i + 16).map(check))
  const registered = audit.filter(({ verb }) => verb === 'device.registered')
  expect(registered.map(({ subject }) => subject).sort()).toEqual([...states.keys()].sort())
  await provisioning.program.stop()
  data.remove()
})
