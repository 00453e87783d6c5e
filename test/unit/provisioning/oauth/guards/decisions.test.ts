import { describe, expect, it } from 'vitest'
import { createLog } from '../../../../../core/runtime/log.ts'
import { createDecisions } from '../../../../../provisioning/oauth/guards/decisions.ts'
import type { TokenDecision } from '../../../../../provisioning/repository/repository.ts'

const decision = (n: number, more: Partial<TokenDecision> = {}): TokenDecision => ({
  decisionId: `d-${n}`,
  atMs: n,
  outcome: 'issued',
  oauthClientId: 'gate-1',
  reason: { credentialId: 'c-1' },
  ...more,
})

function openDecisions(options: { isAway?: boolean; waitingMax?: number } = {}) {
  const store = { isAway: options.isAway ?? false, writes: [] as (readonly TokenDecision[])[] }
  const lines: Record<string, unknown>[] = []
  const decisions = createDecisions({
    repository: {
      async addDecisions(some) {
        if (store.isAway) throw new Error('away')
        store.writes.push(some)
      },
      async findDecision(id) {
        return store.writes.flat().find(({ decisionId }) => decisionId === id)
      },
      async decisions() {
        return store.writes.flat().reverse()
      },
    },
    log: createLog({ program: 'test', write: (line) => lines.push(JSON.parse(line)) }),
    nowMs: () => 0,
    writtenAtOnce: 3,
    ageMsMax: 60_000,
    retryMs: 60_000,
    ...(options.waitingMax === undefined ? {} : { waitingMax: options.waitingMax }),
  })
  return { decisions, store, lines }
}

describe('decisions', () => {
  it('are written together, in their order, and as soon as they are many', async () => {
    const { decisions, store } = openDecisions()
    decisions.record(decision(1))
    decisions.record(decision(2))
    expect(store.writes).toEqual([])
    decisions.record(decision(3))
    expect(store.writes.map((some) => some.length)).toEqual([3])
    for (let n = 4; n < 8; n++) decisions.record(decision(n))
    await decisions.stop()
    expect(store.writes.flat().map(({ atMs }) => atMs)).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  it('are found and listed before they are written', async () => {
    const { decisions } = openDecisions()
    decisions.record(decision(1))
    expect(await decisions.find('d-1')).toEqual(decision(1))
    expect(await decisions.list({ limit: 9 })).toEqual([decision(1)])
    expect(await decisions.find('d-1')).toEqual(decision(1))
    expect(await decisions.find('d-2')).toBeUndefined()
  })

  it('wait for a store that is away, the oldest dropped beyond the bound, and the log says how many', async () => {
    const { decisions, store, lines } = openDecisions({ isAway: true, waitingMax: 4 })
    for (let n = 1; n <= 6; n++) decisions.record(decision(n))
    await decisions.flush()
    expect(lines.filter(({ event }) => event === 'decisions.unwritten')).toHaveLength(1)
    store.isAway = false
    await decisions.flush()
    expect(store.writes.flat().map(({ atMs }) => atMs)).toEqual([3, 4, 5, 6])
    expect(lines.find(({ event }) => event === 'decisions.written_again')).toMatchObject({ dropped: 2 })
  })

  it('say at the end how many were lost', async () => {
    const { decisions, lines } = openDecisions({ isAway: true })
    decisions.record(decision(1))
    await decisions.stop()
    expect(lines.find(({ event }) => event === 'decisions.lost')).toMatchObject({ count: 1 })
  })

  it('keep no secret that somebody gave as a name', async () => {
    const { decisions, store, lines } = openDecisions()
    const oauthClientId = `lotsec_${'a'.repeat(43)}`
    decisions.record(decision(1, { outcome: 'refused', error: 'invalid_client', oauthClientId }))
    await decisions.stop()
    expect(JSON.stringify([store.writes, lines])).not.toContain('aaaa')
    expect(lines[0]).toMatchObject({ event: 'token.refused', decisionId: 'd-1', reason: 'invalid_client' })
  })
})
