import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Feed, parseLastEventId } from '../../../provisioning/feed.ts'
import type { FeedRecord, RegistryRepository } from '../../../provisioning/repository/repository.ts'
import { eventually } from '../../kit/program.ts'
import { openRegistry, operator, type RegistryKit } from './kit.ts'

describe('the feed', () => {
  let kit: RegistryKit
  let feed: Feed
  const setLot = (lotId: string) => kit.registry.lots.set(operator, lotId, { name: lotId, capacities: [] })

  function follow(
    after?: number,
    mayFollow: () => Promise<boolean> = async () => true,
    types?: ReadonlySet<FeedRecord['type']>,
  ) {
    const out = new PassThrough({ highWaterMark: 64 * 1024 * 1024 })
    const events: EventSourceMessage[] = []
    const comments: string[] = []
    const parser = createParser({
      onEvent: (event) => events.push(event),
      onComment: (comment) => comments.push(comment),
    })
    out.setEncoding('utf8').on('data', (text: string) => parser.feed(text))
    const done = feed.follow({ out, after, types, mayFollow })
    return { out, events, comments, done }
  }

  beforeEach(async () => {
    kit = await openRegistry()
    feed = new Feed({ repository: kit.repository, beatMs: 60_000 })
  })
  afterEach(async () => {
    await feed.stop()
    await kit.close()
  })

  it('begins with a snapshot and goes on with what is committed, in order', async () => {
    await setLot('a')
    const { events } = follow()
    await eventually(() => events.length === 1)
    for (let i = 0; i < 20; i++) await setLot(`b${i}`)

    await eventually(() => events.length === 21)

    expect(events.map(({ event }) => event)).toEqual(['snapshot', ...Array(20).fill('lot')])
    expect(events.map(({ id }) => Number(id))).toEqual(Array.from({ length: 21 }, (_, i) => i + 1))
    expect(JSON.parse(events[0]?.data ?? '')).toMatchObject({ lots: [{ lotId: 'a' }] })
  })

  it('goes on from where a follower stood, without a snapshot', async () => {
    for (const lotId of ['a', 'b', 'c']) await setLot(lotId)

    const { events } = follow(1)

    await eventually(() => events.length === 2)
    expect(events.map(({ id, event }) => [id, event])).toEqual([
      ['2', 'lot'],
      ['3', 'lot'],
    ])
  })

  it('says at once to who comes back and has missed nothing that it is so', async () => {
    await setLot('a')

    const { events, comments } = follow(1)

    await eventually(() => comments.length === 1)
    expect(events).toEqual([])
  })

  it('sends a snapshot to a follower that has seen more than there is', async () => {
    await setLot('a')

    const { events } = follow(4711)

    await eventually(() => events.length === 1)
    expect(events[0]).toMatchObject({ id: '1', event: 'snapshot' })
  })

  it('brings a follower who is far behind up to now, however many pages that takes', async () => {
    for (let i = 0; i < 1201; i++) await setLot(`lot${i}`)

    const { events } = follow(0)

    await eventually(() => events.length === 1201)
    expect(new Set(events.map(({ id }) => id)).size).toBe(1201)
  })

  it('tells every follower', async () => {
    const followers = Array.from({ length: 10 }, () => follow())
    await eventually(() => followers.every(({ events }) => events.length === 1))
    await setLot('a')

    await eventually(() => followers.every(({ events }) => events.length === 2))
    expect(followers.map(({ events }) => events[1]?.event)).toEqual(Array(10).fill('lot'))
  })

  it('tells it within a tenth of a second of the commit', async () => {
    const followers = Array.from({ length: 10 }, () => follow())
    await eventually(() => followers.every(({ events }) => events.length === 1))

    const tookMs: number[] = []
    for (let i = 0; i < 5; i++) {
      await setLot(`lot${i}`)
      const committedAtMs = performance.now()
      await eventually(() => followers.every(({ events }) => events.length === i + 2), 10_000, 1)
      tookMs.push(performance.now() - committedAtMs)
    }

    // The best of them: what else this machine does meanwhile is not the feed's.
    expect(Math.min(...tookMs)).toBeLessThan(100)
  })

  it('reads once for all who stand at one place', async () => {
    await feed.stop()
    const reads = { pages: 0, snapshots: 0 }
    const repository: Pick<RegistryRepository, 'feedAfter' | 'feedSnapshot' | 'onCommit'> = {
      feedAfter: (...args) => {
        reads.pages++
        return kit.repository.feedAfter(...args)
      },
      feedSnapshot: () => {
        reads.snapshots++
        return kit.repository.feedSnapshot()
      },
      onCommit: (listener) => kit.repository.onCommit(listener),
    }
    feed = new Feed({ repository, beatMs: 60_000 })
    const followers = Array.from({ length: 50 }, () => follow())
    await eventually(() => followers.every(({ events }) => events.length === 1))
    const before = { ...reads }

    await setLot('a')
    await eventually(() => followers.every(({ events }) => events.length === 2))

    expect(reads.snapshots).toBe(1)
    // The page with the event, and the one after it that is empty.
    expect(reads.pages - before.pages).toBeLessThanOrEqual(2)
  })

  it('tells only what a follower wants to hear, and moves its place on all the same', async () => {
    for (const lotId of ['a', 'b', 'c']) await setLot(lotId)
    const chunks: string[] = []

    const { out, events } = follow(0, undefined, new Set(['revocation']))
    out.on('data', (text: string) => chunks.push(text))
    await eventually(() => chunks.join('').includes('id: 3'))

    expect(events).toEqual([])
    expect(chunks.join('')).toBe('id: 3\n\n')
  })

  it('sends a follower away when the registry cannot be read, and takes it back', async () => {
    await feed.stop()
    let isAway = true
    const repository: Pick<RegistryRepository, 'feedAfter' | 'feedSnapshot' | 'onCommit'> = {
      feedAfter: (...args) => kit.repository.feedAfter(...args),
      feedSnapshot: () => (isAway ? Promise.reject(new Error('away')) : kit.repository.feedSnapshot()),
      onCommit: (listener) => kit.repository.onCommit(listener),
    }
    feed = new Feed({ repository, beatMs: 60_000 })
    const first = follow()
    await first.done
    expect(first.out.destroyed).toBe(true)

    isAway = false
    const { events } = follow()
    await eventually(() => events.length === 1)
  })

  it('says that it lives when nothing happens', async () => {
    await feed.stop()
    feed = new Feed({ repository: kit.repository, beatMs: 5 })

    const { comments } = follow()

    await eventually(() => comments.length > 2)
    expect(comments.length).toBeGreaterThan(2)
  })

  it('ends for a follower who is not welcome any more, before telling it anything else', async () => {
    let welcome = true
    const { out, events, done } = follow(undefined, async () => welcome)
    await eventually(() => events.length === 1)

    welcome = false
    await setLot('a')

    await done
    await eventually(() => out.readableEnded)
    expect(events).toHaveLength(1)
  })

  it('cuts a follower that does not take what was sent, and keeps nothing for it', async () => {
    await feed.stop()
    feed = new Feed({ repository: kit.repository, beatMs: 60_000, drainMs: 10 })
    const out = new PassThrough({ highWaterMark: 1 })
    const done = feed.follow({ out, after: undefined, mayFollow: async () => true })

    await done

    expect(out.destroyed).toBe(true)
  })

  it('stops at once, also while a follower does not take what was sent', async () => {
    await feed.stop()
    feed = new Feed({ repository: kit.repository, beatMs: 60_000, drainMs: 600_000 })
    const out = new PassThrough({ highWaterMark: 1 })
    const done = feed.follow({ out, after: undefined, mayFollow: async () => true })
    await eventually(() => out.writableNeedDrain)

    await feed.stop()

    await done
    expect(out.destroyed).toBe(true)
  })

  it('ends all followers when it stops', async () => {
    const { out, events, done } = follow()
    await eventually(() => events.length === 1)

    await feed.stop()

    await done
    expect(out.destroyed).toBe(true)
  })

  it('keeps no place for those who were gone before they were let in', async () => {
    for (let i = 0; i < 256; i++) {
      const out = new PassThrough()
      out.destroy()
      await once(out, 'close')
      await feed.follow({ out, after: undefined, mayFollow: async () => true })
    }

    expect(() => feed.requireRoom()).not.toThrow()
  })

  it('takes only so many followers', async () => {
    const followers = Array.from({ length: 256 }, () => follow())

    expect(() => feed.requireRoom()).toThrow(expect.objectContaining({ code: 'system.busy' }))

    followers[0]?.out.destroy()
    await eventually(() => {
      feed.requireRoom()
      return true
    })
  })
})

describe('the last event a follower names', () => {
  it.each([
    ['17', 17],
    ['0', 0],
    ['', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['9999999999999999', undefined],
    [undefined, undefined],
    [['1', '2'], undefined],
  ])('%j is %s', (header, position) => {
    expect(parseLastEventId(header)).toBe(position)
  })
})
