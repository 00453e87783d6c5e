import { PassThrough } from 'node:stream'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Feed, parseLastEventId } from '../../../provisioning/feed.ts'
import { eventually } from '../../kit/program.ts'
import { openRegistry, type RegistryKit } from './kit.ts'

describe('the feed', () => {
  let kit: RegistryKit
  let feed: Feed
  const setLot = (lotId: string) => kit.registry.setLot('operator', lotId, { name: lotId, capacities: [] })

  function follow(after?: number, mayFollow: () => Promise<boolean> = async () => true) {
    const out = new PassThrough({ highWaterMark: 64 * 1024 * 1024 })
    const events: EventSourceMessage[] = []
    const comments: string[] = []
    const parser = createParser({
      onEvent: (event) => events.push(event),
      onComment: (comment) => comments.push(comment),
    })
    out.setEncoding('utf8').on('data', (text: string) => parser.feed(text))
    const done = feed.follow({ out, after, mayFollow })
    return { out, events, comments, done }
  }

  beforeEach(() => {
    kit = openRegistry()
    feed = new Feed({ repository: kit.repository, beatMs: 60_000 })
    kit.commits.announce = () => feed.announce()
  })
  afterEach(async () => {
    await feed.stop()
    kit.close()
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
