import { beforeEach, describe, expect, test } from 'vitest'
import type { DeviceId, LotId } from '../../../core/contract/device.ts'
import { type CutReason, isWanted, Live, type LiveFilter } from '../../../ingest/live.ts'
import type { StoredReading } from '../../../ingest/store/store.ts'

let clockMs = 0
let waiting: (() => void)[] = []
let live: Live

beforeEach(() => {
  clockMs = 0
  waiting = []
  live = make('run')
})

function make(run: string): Live {
  return new Live({
    readingsMax: 10,
    listenersMax: 3,
    stallMs: 1000,
    run,
    nowMs: () => clockMs,
    soon: (callback) => void waiting.push(callback),
  })
}

function settle(): void {
  for (let callback = waiting.shift(); callback !== undefined; callback = waiting.shift()) callback()
}

function reading(occupied: number): StoredReading {
  return {
    deviceId: 'a' as DeviceId,
    credentialId: 'c',
    receivedAtMs: 1000 + occupied,
    epoch: undefined,
    reading: { timestampMs: occupied, occupied },
  }
}

/** Takes what comes while it is open; writing says so. */
function listen(options: { after?: string; isOpen?: boolean; wants?: (occupied: number) => boolean } = {}) {
  const ear = {
    isOpen: options.isOpen ?? true,
    text: '',
    isEnded: false,
    ending: undefined as CutReason | undefined,
    seen: () => [...ear.text.matchAll(/^data: (\d+)$/gm)].map(([, value]) => Number(value)),
    lastId: () => /id: (\S+)\n(?!.*id: )/s.exec(ear.text)?.[1],
    listener: undefined as ReturnType<Live['listen']> | undefined,
  }
  ear.listener = live.listen({
    outlet: {
      write(text) {
        ear.text += text
        return ear.isOpen
      },
      end() {
        ear.isEnded = true
      },
    },
    after: options.after,
    show: (stored, id) =>
      options.wants?.(stored.reading.occupied ?? -1) === false
        ? undefined
        : `id: ${id}\ndata: ${stored.reading.occupied}\n\n`,
    ending: () => ear.ending,
  })
  settle()
  return ear
}

function add(...values: number[]): void {
  live.add(values.map(reading))
  settle()
}

describe('the live feed', () => {
  test('tells every listener what is stored from now on, in order', () => {
    add(1)
    const first = listen()
    const second = listen()
    add(2, 3)
    add(4)

    expect([first.seen(), second.seen()]).toEqual([
      [2, 3, 4],
      [2, 3, 4],
    ])
  })

  test('goes on where somebody was who comes back', () => {
    const before = listen()
    add(1, 2)
    before.listener?.leave()
    add(3, 4)

    expect(listen({ after: before.lastId() ?? '' }).seen()).toEqual([3, 4])
  })

  test('says to whoever comes back to another run since when something may be missed', () => {
    const before = listen()
    live.add([{ ...reading(1), receivedAtMs: 200_000_000.5 }])
    settle()
    live = make('next')

    const back = listen({ after: before.lastId() ?? '' })
    expect(back.text).toContain(`"receivedFrom":"${new Date(200_000_000 - 60_000).toISOString()}"`)
  })

  test.each([
    ['of another run', 'other-0'],
    ['that nobody gave out', 'run-99'],
    ['that is none', 'x'],
  ])('says that something may be missed from a place %s, and gives all it has', (_what, after) => {
    add(1, 2)
    const back = listen({ after })

    expect(back.text).toMatch(/^event: missed\ndata: .*"receivedBefore":"1970-01-01T00:00:01.001Z"/)
    expect(back.seen()).toEqual([1, 2])
  })

  test('says that something may be missed by somebody who was away for too long', () => {
    const before = listen()
    add(1)
    before.listener?.leave()
    add(...Array.from({ length: 15 }, (_, i) => 2 + i))

    const back = listen({ after: before.lastId() ?? '' })
    expect(back.text).toContain('event: missed')
    expect(back.seen()).toEqual([7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
  })

  test('says nothing of what a listener is not to see, and has it back in its place all the same', () => {
    const even = listen({ wants: (occupied) => occupied % 2 === 0 })
    add(1, 2, 3, 4)

    expect(even.seen()).toEqual([2, 4])
  })

  test('writes no more to somebody who takes nothing, and goes on when they do', () => {
    const slow = listen({ isOpen: false })
    add(1)
    add(2, 3)
    expect(slow.seen()).toEqual([1])

    slow.isOpen = true
    slow.listener?.drained()
    settle()
    expect(slow.seen()).toEqual([1, 2, 3])
  })

  test('cuts somebody who falls out of what is kept, says why, and costs the others nothing', () => {
    const slow = listen({ isOpen: false })
    const good = listen()
    for (let value = 1; value <= 30; value++) add(value)

    expect(slow.isEnded).toBe(true)
    expect(slow.text).toMatch(/event: cut\ndata: {"reason":"slow"}\n\n$/)
    expect(good.seen()).toHaveLength(30)
    expect(live.listenerCount).toBe(1)
  })

  test('cuts somebody who takes nothing for too long, though little happens', () => {
    const dead = listen({ isOpen: false })
    add(1)
    clockMs = 1000
    live.beat()
    expect(dead.isEnded).toBe(false)

    clockMs = 1001
    live.beat()
    expect(dead.isEnded).toBe(true)
  })

  test('gives those who wait a sign of life', () => {
    const idle = listen()
    live.beat()
    expect(idle.text).toBe(': beat\n\n')
  })

  test.each(['token.expired', 'token.revoked'] as const)(
    'cuts whose token is good no longer: %s',
    (reason) => {
      const ear = listen()
      const other = listen()
      live.sweep()
      expect(ear.isEnded).toBe(false)

      ear.ending = reason
      live.sweep()
      add(1)

      expect([ear.isEnded, ear.seen()]).toEqual([true, []])
      expect(ear.text).toContain(`{"reason":"${reason}"}`)
      expect(other.seen()).toEqual([1])
    },
  )

  test('tells everybody when it stops, and is full at its limit', () => {
    const ears = [listen(), listen()]
    expect(live.isFull).toBe(false)
    listen()
    expect(live.isFull).toBe(true)

    live.stop()
    expect(ears.map(({ text }) => text)).toEqual(
      ears.map(() => 'event: cut\ndata: {"reason":"stopping"}\n\n'),
    )
    expect(live.listenerCount).toBe(0)
  })
})

describe('who sees what', () => {
  const [device, lot] = ['a' as DeviceId, 'north' as LotId]
  const everything: LiveFilter = { lots: undefined, devices: undefined, limit: undefined }

  test.each([
    ['everything, also what counts for no lot', everything, undefined, true],
    ['the lots asked for', { ...everything, lots: new Set([lot]) }, lot, true],
    ['no other lots', { ...everything, lots: new Set(['south' as LotId]) }, lot, false],
    ['no lot, where lots were asked for', { ...everything, lots: new Set([lot]) }, undefined, false],
    ['the devices asked for', { ...everything, devices: new Set([device]) }, undefined, true],
    ['no other devices', { ...everything, devices: new Set(['b' as DeviceId]) }, lot, false],
    [
      'no lots beyond the limit of the token',
      { ...everything, limit: new Set(['south' as LotId]) },
      lot,
      false,
    ],
    ['nothing without a lot, under a limit', { ...everything, limit: new Set([lot]) }, undefined, false],
  ] as const)('%s', (_what, filter, lotId, expected) => {
    expect(isWanted(filter, device, lotId)).toBe(expected)
  })
})
