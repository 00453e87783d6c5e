import { describe, expect, it } from 'vitest'
import { createLog } from '../../../core/runtime/log.ts'
import { startUpkeep } from '../../../provisioning/upkeep.ts'
import { eventually } from '../../kit/program.ts'

const log = createLog({ program: 'test', level: 'silent' })
const everySecond = '* * * * * *'
const never = '0 0 29 2 *'

describe('what is done by the clock', () => {
  it('retires unused credentials until none is left', async () => {
    const asked: number[] = []
    const left = [2, 1]
    const upkeep = startUpkeep({
      presence: { sweep: async () => [] },
      credentials: {
        retireUnused: async (beforeMs) => {
          asked.push(beforeMs)
          return left.shift() ?? 0
        },
      },
      repository: { prune: async () => {} },
      credentialUnusedDays: 90,
      now: () => 100 * 86_400_000,
      log,
      keys: { rotate: async () => [], refresh: async () => undefined },
      keyRotation: '0 0 1 1 *',
      retireAt: everySecond,
      pruneAt: never,
    })

    await eventually(() => asked.length >= 3)
    await upkeep.stop()

    expect(new Set(asked)).toEqual(new Set([10 * 86_400_000]))
  })

  it('makes the next signing key when its time has come', async () => {
    const by: string[] = []
    const upkeep = startUpkeep({
      presence: { sweep: async () => [] },
      credentials: { retireUnused: async () => 0 },
      repository: { prune: async () => {} },
      credentialUnusedDays: 0,
      now: () => 0,
      log,
      keys: {
        rotate: async (actor) => {
          by.push(actor)
          return []
        },
        refresh: async () => undefined,
      },
      keyRotation: everySecond,
      retireAt: never,
      pruneAt: never,
    })

    await eventually(() => by.length >= 2)
    await upkeep.stop()

    expect(new Set(by)).toEqual(new Set(['provisioning']))
  })

  it('forgets what nobody can ask for, retires nothing when told so, and survives a failure', async () => {
    const done = { pruned: 0, retired: 0 }
    const upkeep = startUpkeep({
      presence: { sweep: async () => [] },
      credentials: {
        retireUnused: async () => {
          done.retired++
          return 0
        },
      },
      repository: {
        prune: async () => {
          done.pruned++
          throw new Error('away')
        },
      },
      credentialUnusedDays: 0,
      now: () => 0,
      log,
      keys: { rotate: async () => [], refresh: async () => undefined },
      keyRotation: '0 0 1 1 *',
      retireAt: everySecond,
      pruneAt: everySecond,
    })

    await eventually(() => done.pruned >= 2)
    await upkeep.stop()

    expect(done.retired).toBe(0)
  })
})
