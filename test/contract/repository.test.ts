/** What every registry repository must keep, run over each adapter there is. */
import { once } from 'node:events'
import { cpSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import Database from 'libsql'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Client } from '../../core/contract/client.ts'
import type { Device, Lot } from '../../core/contract/registry.ts'
import { createLog } from '../../core/runtime/log.ts'
import { openPostgresRepository } from '../../provisioning/repository/postgres.ts'
import type { Change, RegistryRepository } from '../../provisioning/repository/repository.ts'
import { openSqliteRepository } from '../../provisioning/repository/sqlite.ts'
import { emptySnapshot } from '../kit/issuer.ts'
import { describeWithCommand, findCommand } from '../kit/needs.ts'
import { type Postgres, startPostgres } from '../kit/postgres.ts'
import { eventually, makeDataDir } from '../kit/program.ts'

interface Opened {
  readonly repository: RegistryRepository
  /** The same registry, as the next start of the program finds it. */
  reopen(): Promise<Opened>
  close(): Promise<void>
}

type Open = (now: () => number, feedEventsKept?: number) => Promise<Opened>

const openSqlite: Open = async (now, feedEventsKept = 1000) => {
  const open = async (folder: ReturnType<typeof makeDataDir>): Promise<Opened> => {
    const repository = openSqliteRepository({ path: join(folder.path, 'registry.db'), now, feedEventsKept })
    const close = async () => {
      await repository.close()
      folder.remove()
    }
    return {
      repository,
      // What is on the disk now, as after a power cut.
      async reopen() {
        const copy = makeDataDir()
        cpSync(folder.path, copy.path, { recursive: true })
        await close()
        return open(copy)
      },
      close,
    }
  }
  return open(makeDataDir())
}

const silent = createLog({ program: 'test', level: 'silent' })
let postgres: Postgres | undefined
function running(): Postgres {
  if (postgres === undefined) throw new Error('PostgreSQL is not installed')
  return postgres
}
const openPostgres: Open = async (now, feedEventsKept = 1000) => {
  const url = await running().createDatabase()
  const open = async (): Promise<Opened> => {
    const repository = await openPostgresRepository({ url, now, feedEventsKept, aheadMs: 0, log: silent })
    return {
      repository,
      async reopen() {
        await repository.close()
        return open()
      },
      close: () => repository.close(),
    }
  }
  return open()
}

const adapters: readonly [string, Open, typeof describe | typeof describe.skip][] = [
  ['sqlite', openSqlite, describe],
  ['postgres', openPostgres, describeWithCommand('initdb')],
]

beforeAll(async () => {
  if (findCommand('initdb') !== undefined) postgres = await startPostgres()
})
afterAll(() => postgres?.stop())

const lot: Lot = { lotId: 'north', name: 'North', capacities: [{ fromMs: 0, capacity: 40 }] }
const device: Device = { deviceId: 'd1', name: 'Gate 1', state: 'active', registeredAtMs: 500, tags: [] }
const deviceClient: Client = {
  oauthClientId: 'd1',
  name: 'Gate 1',
  kind: 'device',
  grantTypes: ['client_credentials'],
  authMethods: ['client_secret_basic'],
  metadata: {},
  grants: [{ audience: 'urn:lotwatch:broker', scopes: ['publish:readings'] }],
}
const analyst: Client = {
  oauthClientId: 'analyst',
  name: 'Analyst',
  kind: 'command-line',
  grantTypes: ['client_credentials'],
  authMethods: ['client_secret_basic'],
  metadata: {},
  grants: [{ audience: 'urn:lotwatch:ingest', scopes: ['read:readings'] }],
  lots: ['north'],
}
const digest = new Uint8Array(32).fill(7)

const setLot = (of: Lot): Change => ({
  audit: { actor: 'operator', verb: 'lot.set', subject: of.lotId, after: of },
  lot: of,
})
const registerDevice = (deviceId = 'd1'): Change => ({
  audit: { actor: 'operator', verb: 'device.registered', subject: deviceId },
  newClient: { ...deviceClient, oauthClientId: deviceId },
  device: { ...device, deviceId },
  newCredential: {
    of: 'secret',
    expiresAtMs: null,
    credentialId: `cred_${deviceId}`,
    oauthClientId: deviceId,
    digest,
  },
})

for (const [name, open, describeIt] of adapters) {
  describeIt(`the registry repository over ${name}`, () => {
    let nowMs: number
    let opened: Opened
    const commit = (change: Change) =>
      opened.repository.change(async () => ({ changes: [change], answer: undefined }))
    const eventsAfter = async (position: number) =>
      (await opened.repository.feedAfter(position, 1000))?.map(({ type, data }) => ({
        type,
        data: JSON.parse(data) as unknown,
      }))

    beforeEach(async () => {
      nowMs = 1_000_000
      opened = await open(() => nowMs)
    })
    afterEach(() => opened.close())

    it('keeps everything over a restart', async () => {
      await commit(setLot(lot))
      await commit(registerDevice())
      await commit({
        audit: { actor: 'operator', verb: 'device.assigned', subject: 'd1' },
        assignments: [{ deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: null }],
      })
      await commit({
        audit: { actor: 'operator', verb: 'client.registered', subject: 'analyst' },
        newClient: analyst,
      })
      const before = await opened.repository.feedSnapshot()

      opened = await opened.reopen()

      const { repository } = opened
      expect(await repository.findLot('north')).toEqual(lot)
      expect(await repository.findDevice('d1')).toEqual(device)
      expect(await repository.assignmentsOf('d1')).toEqual([
        { deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: null },
      ])
      expect(await repository.findClient('analyst')).toEqual(analyst)
      expect(await repository.clients({ limit: 10 })).toEqual([analyst])
      expect(await repository.feedSnapshot()).toEqual(before)
      expect((await repository.auditEntries({ limit: 10 })).map(({ verb }) => verb)).toEqual([
        'client.registered',
        'device.assigned',
        'device.registered',
        'lot.set',
      ])
    })

    it('knows nothing of what was never registered', async () => {
      const { repository } = opened

      expect(await repository.findLot('x')).toBeUndefined()
      expect(await repository.findDevice('x')).toBeUndefined()
      expect(await repository.findClient('x')).toBeUndefined()
      expect(await repository.findAccess('x')).toBeUndefined()
      expect(await repository.credentialsOf('x')).toEqual([])
      expect(await repository.assignmentsOf('x')).toEqual([])
    })

    it('refuses an identifier that is taken, and leaves no trace of the attempt', async () => {
      await commit(registerDevice())
      const before = await opened.repository.feedSnapshot()

      await expect(commit({ ...registerDevice(), lot })).rejects.toMatchObject({ code: 'request.conflict' })

      expect(await opened.repository.feedSnapshot()).toEqual(before)
      expect(await opened.repository.auditEntries({ limit: 10 })).toHaveLength(1)
      expect(await opened.repository.credentialsOf('d1')).toHaveLength(1)
    })

    it('commits a change whole or not at all', async () => {
      const toNowhere = {
        ...registerDevice(),
        assignments: [{ deviceId: 'd1', lotId: 'nowhere', fromMs: 0, toMs: null }],
      }

      await expect(commit(toNowhere)).rejects.toThrow()

      expect(await opened.repository.findDevice('d1')).toBeUndefined()
      expect(await opened.repository.findClient('d1')).toBeUndefined()
      expect(await opened.repository.auditEntries({ limit: 10 })).toEqual([])
      expect(await eventsAfter(0)).toEqual([])
    })

    it('decides one change after the other, however many are asked for at once', async () => {
      await commit(setLot({ ...lot, capacities: [] }))
      const addCapacity = (capacity: number) =>
        opened.repository.change(async (view) => {
          const current = (await view.findLot('north')) ?? lot
          const next = { ...current, capacities: [...current.capacities, { fromMs: capacity, capacity }] }
          return { changes: [setLot(next)], answer: undefined }
        })

      await Promise.all(Array.from({ length: 20 }, (_, i) => addCapacity(i)))

      expect((await opened.repository.findLot('north'))?.capacities.map(({ capacity }) => capacity)).toEqual(
        Array.from({ length: 20 }, (_, i) => i),
      )
    })

    it('goes on after a decision that failed', async () => {
      const failing = opened.repository.change(() => Promise.reject(new Error('no')))
      const following = commit(setLot(lot))

      await expect(failing).rejects.toThrow('no')
      await following
      expect(await opened.repository.findLot('north')).toEqual(lot)
    })

    it('changes nothing when a decision brings no change', async () => {
      const answer = await opened.repository.change(async () => ({ answer: 'as it was' }))

      expect(answer).toBe('as it was')
      expect(await opened.repository.auditEntries({ limit: 10 })).toEqual([])
    })

    it('says who changed what, from what to what, and when', async () => {
      nowMs = 1_234_567
      await commit({
        audit: { actor: 'operator', verb: 'lot.set', subject: 'north', before: { a: 1 }, after: lot },
        lot,
      })

      expect(await opened.repository.auditEntries({ limit: 10 })).toEqual([
        {
          auditId: 1,
          atMs: 1_234_567,
          actor: 'operator',
          verb: 'lot.set',
          subject: 'north',
          before: { a: 1 },
          after: lot,
        },
      ])
    })

    it('pages through the audit log from the newest entry back', async () => {
      for (const lotId of ['a', 'b', 'c']) await commit(setLot({ ...lot, lotId }))

      const [newest, second] = await opened.repository.auditEntries({ limit: 2 })
      const rest = await opened.repository.auditEntries({ before: second?.auditId, limit: 2 })

      expect([newest?.subject, second?.subject, ...rest.map(({ subject }) => subject)]).toEqual([
        'c',
        'b',
        'a',
      ])
    })

    it('pages through devices in order of their identifiers', async () => {
      for (const deviceId of ['d3', 'd1', 'd2']) await commit(registerDevice(deviceId))

      const first = await opened.repository.devices({ limit: 2 })
      const rest = await opened.repository.devices({ after: first.at(-1)?.deviceId, limit: 2 })

      expect([...first, ...rest].map(({ deviceId }) => deviceId)).toEqual(['d1', 'd2', 'd3'])
    })

    it('replaces a lot, a device and an assignment by their identity', async () => {
      await commit({
        ...registerDevice(),
        lot,
        assignments: [{ deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: null }],
      })
      await commit({
        audit: { actor: 'operator', verb: 'device.suspended', subject: 'd1' },
        lot: { ...lot, name: 'North side' },
        device: { ...device, state: 'suspended' },
        assignments: [{ deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: 900 }],
      })

      expect((await opened.repository.lots()).map(({ name }) => name)).toEqual(['North side'])
      expect((await opened.repository.devices({ limit: 10 })).map(({ state }) => state)).toEqual([
        'suspended',
      ])
      expect((await opened.repository.assignmentsOf('d1')).map(({ toMs }) => toMs)).toEqual([900])
    })

    it('replaces the name, grants and limits of a client and keeps its credentials', async () => {
      await commit({
        audit: { actor: 'operator', verb: 'client.registered', subject: 'analyst' },
        newClient: analyst,
        newCredential: {
          of: 'secret',
          expiresAtMs: null,
          credentialId: 'cred_a',
          oauthClientId: 'analyst',
          digest,
        },
      })
      const { lots: _, ...unlimited } = { ...analyst, grants: [] }
      await commit({
        audit: { actor: 'operator', verb: 'client.changed', subject: 'analyst' },
        client: unlimited,
      })

      const access = await opened.repository.findAccess('analyst')
      expect(access?.client).toEqual(unlimited)
      expect(access?.credentials.map(({ credentialId }) => credentialId)).toEqual(['cred_a'])
    })

    describe('access', () => {
      it('shows the state of a device, its live credentials and their digests', async () => {
        await commit(registerDevice())

        const access = await opened.repository.findAccess('d1')

        expect(access).toMatchObject({
          client: deviceClient,
          deviceState: 'active',
          revokedAtMs: undefined,
          credentials: [{ credentialId: 'cred_d1' }],
        })
        const [credential] = access?.credentials ?? []
        expect(credential?.of === 'secret' && Uint8Array.from(credential.digest)).toEqual(digest)
      })

      it('is there for a client without any credential', async () => {
        await commit({
          audit: { actor: 'operator', verb: 'client.registered', subject: 'analyst' },
          newClient: analyst,
        })

        expect(await opened.repository.findAccess('analyst')).toEqual({
          client: analyst,
          deviceState: undefined,
          revokedAtMs: undefined,
          credentials: [],
        })
      })

      it('no longer has a credential that was revoked, and keeps the others', async () => {
        await commit(registerDevice())
        await commit({
          audit: { actor: 'operator', verb: 'credential.issued', subject: 'd1' },
          newCredential: {
            of: 'secret',
            expiresAtMs: null,
            credentialId: 'cred_2',
            oauthClientId: 'd1',
            digest,
          },
        })
        nowMs = 2_000_000
        await commit({
          audit: { actor: 'operator', verb: 'credential.revoked', subject: 'd1' },
          revocations: [{ of: 'credential', credentialId: 'cred_d1' }],
        })

        const access = await opened.repository.findAccess('d1')
        expect(access?.credentials.map(({ credentialId }) => credentialId)).toEqual(['cred_2'])
        const records = await opened.repository.credentialsOf('d1')
        expect(records.map(({ credentialId, revokedAtMs }) => [credentialId, revokedAtMs])).toEqual([
          ['cred_2', null],
          ['cred_d1', 2_000_000],
        ])
      })

      it('bears the moment of the latest revocation of the whole client', async () => {
        await commit(registerDevice())
        for (const atMs of [2_000_000, 3_000_000]) {
          nowMs = atMs
          await commit({
            audit: { actor: 'operator', verb: 'device.suspended', subject: 'd1' },
            revocations: [{ of: 'client', oauthClientId: 'd1' }],
          })
        }

        expect((await opened.repository.findAccess('d1'))?.revokedAtMs).toBe(3_000_000)
      })
    })

    it('notes when a credential was last used', async () => {
      await commit(registerDevice())

      await opened.repository.noteUse(new Map([['cred_d1', 5_000_000]]))

      expect(await opened.repository.credentialsOf('d1')).toEqual([
        {
          credentialId: 'cred_d1',
          oauthClientId: 'd1',
          createdAtMs: 1_000_000,
          of: 'secret',
          expiresAtMs: null,
          lastUsedAtMs: 5_000_000,
          revokedAtMs: null,
        },
      ])
    })

    describe('the feed', () => {
      it('has an event for each thing that changed, in order, and none for credentials that are new', async () => {
        await commit(setLot(lot))
        await commit({
          ...registerDevice(),
          assignments: [{ deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: null }],
        })
        nowMs = 2_000_000
        await commit({
          audit: { actor: 'operator', verb: 'device.suspended', subject: 'd1' },
          device: { ...device, state: 'suspended' },
          revocations: [
            { of: 'client', oauthClientId: 'd1' },
            { of: 'credential', credentialId: 'cred_d1' },
          ],
        })

        expect(await eventsAfter(0)).toEqual([
          { type: 'lot', data: lot },
          { type: 'device', data: device },
          { type: 'assignment', data: { deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: null } },
          { type: 'device', data: { ...device, state: 'suspended' } },
          { type: 'revocation', data: { of: 'client', oauthClientId: 'd1', atMs: 2_000_000 } },
          { type: 'revocation', data: { of: 'credential', credentialId: 'cred_d1', atMs: 2_000_000 } },
        ])
      })

      it('gives those who come back what they missed, page by page, and nothing twice', async () => {
        for (let i = 0; i < 5; i++) await commit(setLot({ ...lot, lotId: `lot${i}` }))
        const seen: string[] = []

        let position = 0
        for (;;) {
          const page = await opened.repository.feedAfter(position, 2)
          if (page === undefined || page.length === 0) break
          seen.push(...page.map(({ data }) => (JSON.parse(data) as Lot).lotId))
          position = page.at(-1)?.position ?? position
        }

        expect(seen).toEqual(['lot0', 'lot1', 'lot2', 'lot3', 'lot4'])
      })

      it('asks for a snapshot from a position that was never reached', async () => {
        await commit(setLot(lot))

        expect(await opened.repository.feedAfter(1, 10)).toEqual([])
        expect(await opened.repository.feedAfter(2, 10)).toBeUndefined()
      })

      it('has a snapshot of everything, as of the newest event', async () => {
        await commit({
          ...registerDevice(),
          lot,
          assignments: [{ deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: null }],
        })
        await commit({
          audit: { actor: 'operator', verb: 'credential.revoked', subject: 'd1' },
          revocations: [{ of: 'credential', credentialId: 'cred_d1' }],
        })

        const { position, snapshot } = await opened.repository.feedSnapshot()

        expect(snapshot).toEqual({
          ...emptySnapshot,
          lots: [lot],
          devices: [device],
          assignments: [{ deviceId: 'd1', lotId: 'north', fromMs: 700, toMs: null }],
          revocations: [{ of: 'credential', credentialId: 'cred_d1', atMs: 1_000_000 }],
        })
        expect(await opened.repository.feedAfter(position, 10)).toEqual([])
        expect(await opened.repository.feedAfter(position - 1, 10)).toHaveLength(1)
      })

      it('is empty before the first change', async () => {
        expect(await opened.repository.feedSnapshot()).toEqual({
          position: 0,
          snapshot: emptySnapshot,
        })
        expect(await opened.repository.feedAfter(0, 10)).toEqual([])
      })

      it('leaves out of the snapshot the revocations that no living token can meet', async () => {
        await commit({
          ...registerDevice(),
          revocations: [{ of: 'credential', credentialId: 'cred_d1' }],
        })
        nowMs += 26 * 3600_000

        expect((await opened.repository.feedSnapshot()).snapshot.revocations).toEqual([])
      })

      it('forgets its oldest events, and those who stood there get a snapshot', async () => {
        await opened.close()
        opened = await open(() => nowMs, 10)
        for (let i = 0; i < 60; i++) await commit(setLot({ ...lot, name: `North ${i}` }))
        await opened.repository.prune()

        const { position } = await opened.repository.feedSnapshot()

        expect(await opened.repository.feedAfter(0, 10)).toBeUndefined()
        expect(await opened.repository.feedAfter(position - 10, 20)).toHaveLength(10)
      })
    })

    it('writes a decision once, however often it is told', async () => {
      const decision = (decisionId: string) => ({
        decisionId,
        atMs: 1,
        outcome: 'issued' as const,
        reason: {},
      })
      await opened.repository.addDecisions([decision('dec_1')])

      await opened.repository.addDecisions([decision('dec_1'), decision('dec_2')])

      expect(await opened.repository.decisions({ limit: 10 })).toEqual([decision('dec_2'), decision('dec_1')])
    })

    it('forgets old decisions, however many', async () => {
      const decisions = (prefix: string, count: number) =>
        Array.from({ length: count }, (_, i) => ({
          decisionId: `${prefix}${i}`,
          atMs: nowMs,
          outcome: 'issued' as const,
          reason: {},
        }))
      await opened.repository.addDecisions(decisions('dec_old', 3500))
      nowMs += 31 * 86_400_000
      await opened.repository.addDecisions(decisions('dec_new', 1))

      await opened.repository.prune()

      expect(await opened.repository.decisions({ limit: 10 })).toMatchObject([{ decisionId: 'dec_new0' }])
    })

    it('knows nobody whose name has a NUL in it', async () => {
      await commit(registerDevice())

      expect(await opened.repository.findAccess('d1\0')).toBeUndefined()
      expect(await opened.repository.devices({ limit: 10, search: '\0' })).toEqual([])
    })

    it('tells by the feed exactly the state it has, whatever happened', async () => {
      const lotId = fc.constantFrom('a', 'b')
      const change = fc.oneof(
        fc.record({ do: fc.constant('lot' as const), lotId, capacity: fc.nat(99) }),
        fc.record({ do: fc.constant('device' as const), id: fc.constantFrom('d1', 'd2') }),
        fc.record({
          do: fc.constant('state' as const),
          id: fc.constantFrom('d1', 'd2'),
          state: fc.constantFrom('active' as const, 'suspended' as const),
        }),
        fc.record({
          do: fc.constant('assign' as const),
          id: fc.constantFrom('d1', 'd2'),
          lotId,
          fromMs: fc.nat(5),
        }),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 75 }), async (changes) => {
          await opened.close()
          opened = await open(() => nowMs)
          for (const one of changes) {
            // Some are refused (an identifier taken, a lot unknown): that must show nowhere.
            await commit(asChange(one)).catch(() => undefined)
          }

          const mirror = { lot: new Map(), device: new Map(), assignment: new Map() }
          for (const { type, data } of (await eventsAfter(0)) ?? []) {
            const record = data as { lotId: string; deviceId: string; fromMs: number }
            if (type === 'lot') mirror.lot.set(record.lotId, record)
            if (type === 'device') mirror.device.set(record.deviceId, record)
            if (type === 'assignment') mirror.assignment.set(`${record.deviceId} ${record.fromMs}`, record)
          }
          const { snapshot } = await opened.repository.feedSnapshot()
          const sorted = (values: Iterable<unknown>) =>
            [...values].map((value) => JSON.stringify(value)).sort()
          expect(sorted(mirror.lot.values())).toEqual(sorted(snapshot.lots))
          expect(sorted(mirror.device.values())).toEqual(sorted(snapshot.devices))
          expect(sorted(mirror.assignment.values())).toEqual(sorted(snapshot.assignments))
        }),
        { numRuns: 10 },
      )

      type Step = typeof change extends fc.Arbitrary<infer One> ? One : never
      function asChange(step: Step): Change {
        const audit = { actor: 'operator', verb: 'lot.set', subject: 'x' } as const
        switch (step.do) {
          case 'lot':
            return setLot({
              lotId: step.lotId,
              name: step.lotId,
              capacities: [{ fromMs: 0, capacity: step.capacity }],
            })
          case 'device':
            return registerDevice(step.id)
          case 'state':
            return { audit, device: { ...device, deviceId: step.id, state: step.state } }
          case 'assign':
            return {
              audit,
              assignments: [{ deviceId: step.id, lotId: step.lotId, fromMs: step.fromMs, toMs: null }],
            }
        }
      }
    })

    it('keeps what was said last of each device’s connection, and which brokers speak', async () => {
      const said = (deviceId: string, connected: boolean) =>
        ({ deviceId, connected, brokerId: 'b1', connectionId: '1', atMs: 5 }) as const
      const broker = { brokerId: 'b1', sentAtMs: 7, heardAtMs: 9 }
      const presence = [said('d1', true), said('d2', true), said('d3', true)]
      await commit({ presence, broker })
      await commit({ presence: [said('d2', false)], broker: { ...broker, heardAtMs: 10 } })

      const { repository } = opened
      expect(await repository.presences()).toEqual([said('d1', true), said('d3', true)])
      const last = await repository.presenceOf(['d1', 'd2', 'unknown'])
      expect(last.toSorted((a, b) => (a.deviceId < b.deviceId ? -1 : 1))).toEqual([
        said('d1', true),
        said('d2', false),
      ])
      expect(await repository.presenceOf([])).toEqual([])
      expect(await repository.brokers()).toEqual([{ ...broker, heardAtMs: 10 }])
      await commit({ removeBroker: 'b1' })
      expect(await repository.brokers()).toEqual([])
    })
  })
}

describe('the registry in a SQLite file', () => {
  it('is refused when a newer version has written it', () => {
    const folder = makeDataDir()
    const path = join(folder.path, 'registry.db')
    const newer = new Database(path)
    newer.exec('PRAGMA user_version = 99')
    newer.close()

    expect(() => openSqliteRepository({ path, now: () => 0 })).toThrow(
      expect.objectContaining({ code: 'config.invalid', faults: [expect.stringContaining('newer version')] }),
    )
    folder.remove()
  })

  it('is refused in plain words when it is no database', () => {
    const folder = makeDataDir()
    const path = join(folder.path, 'registry.db')
    writeFileSync(path, 'a letter to a friend, long enough for a header '.repeat(100))

    expect(() => openSqliteRepository({ path, now: () => 0 })).toThrow(
      expect.objectContaining({ code: 'config.invalid', faults: [expect.stringContaining(path)] }),
    )
    folder.remove()
  })

  it('lets others have their turn while it forgets', async () => {
    let nowMs = 1_000_000
    const { repository, close } = await openSqlite(() => nowMs)
    const reason = {}
    await repository.addDecisions(
      Array.from({ length: 3000 }, (_, i) => ({
        decisionId: `dec_${i}`,
        atMs: nowMs,
        outcome: 'issued',
        reason,
      })),
    )
    nowMs += 31 * 86_400_000
    const order: string[] = []

    const pruning = repository.prune().then(() => order.push('pruned'))
    const changing = repository
      .change(async () => ({ changes: [setLot(lot)], answer: undefined }))
      .then(() => order.push('changed'))
    await Promise.all([pruning, changing])

    expect(order).toEqual(['changed', 'pruned'])
    await close()
  })

  it('belongs to one process: a second one is told so', async () => {
    const folder = makeDataDir()
    const path = join(folder.path, 'registry.db')
    const first = openSqliteRepository({ path, now: () => 0 })

    expect(() => openSqliteRepository({ path, now: () => 0 })).toThrow(
      expect.objectContaining({ code: 'store.locked' }),
    )

    await first.close()
    folder.remove()
  })
})

describeWithCommand('initdb')('the registry in PostgreSQL', () => {
  it('refuses a change whose connection dies while it is decided, and goes on', async () => {
    const { repository, close } = await openPostgres(() => 1_000_000)
    let decide = () => {}
    const decided = new Promise<void>((resolve) => {
      decide = resolve
    })
    let begin = () => {}
    const began = new Promise<void>((resolve) => {
      begin = resolve
    })
    const change = repository.change(async () => {
      begin()
      await decided
      return { changes: [setLot(lot)], answer: undefined }
    })
    await began

    // Nobody asks the connection anything while the decision waits: it hears of its end by itself.
    await running().cutConnections()
    decide()
    await expect(change).rejects.toMatchObject({ code: 'store.unavailable' })

    await repository.change(async () => ({ changes: [setLot(lot)], answer: undefined }))
    expect(await repository.auditEntries({ limit: 10 })).toHaveLength(1)
    await close()
  })

  it('goes on without a process that stands still inside a change', async () => {
    const url = await running().createDatabase()
    const open = () => openPostgresRepository({ url, now: () => 1_000_000, log: silent })
    const frozen = await open()
    const other = await open()
    let goOn = () => {}
    const thawed = new Promise<void>((resolve) => {
      goOn = resolve
    })
    let begin = () => {}
    const began = new Promise<void>((resolve) => {
      begin = resolve
    })
    const change = frozen.change(async () => {
      begin()
      await thawed
      return { changes: [setLot(lot)], answer: undefined }
    })
    await began

    await other.change(async () => ({ changes: [setLot({ ...lot, lotId: 'south' })], answer: undefined }))
    goOn()

    await expect(change).rejects.toMatchObject({ code: 'store.unavailable' })
    expect(await other.lots()).toMatchObject([{ lotId: 'south' }])
    await Promise.all([frozen.close(), other.close()])
  })

  it('hears of commits again when the way to it has gone without a word', async () => {
    const url = new URL(await running().createDatabase())
    const way = await startWay(Number(url.port))
    const near = await openPostgresRepository({ url: url.href, now: Date.now, log: silent })
    url.port = String(way.port)
    const far = await openPostgresRepository({
      url: url.href,
      now: Date.now,
      log: silent,
      noticesCheckedMs: 50,
    })
    let heard = 0
    far.onCommit(() => heard++)

    way.lose()
    await near.change(async () => ({ changes: [setLot(lot)], answer: undefined }))

    // By a new connection: the old one never says that it is dead.
    await eventually(() => heard > 0)
    await way.close()
    await Promise.all([near.close(), far.close()])
  })
})

/** A way to a server that can lose what is under way on it: the connections stay, and nothing gets through any more. */
async function startWay(to: number) {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined).pipe(into)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port, // it listens
    lose() {
      for (const socket of sockets) socket.unpipe().resume()
    },
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
