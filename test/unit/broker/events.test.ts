import { PassThrough } from 'node:stream'
import { afterEach, expect, it } from 'vitest'
import { Events } from '../../../broker/events.ts'

const opened: Events[] = []
afterEach(() => {
  for (const events of opened.splice(0)) events.stop()
})
function open(beatMs?: number): Events {
  const events = new Events(beatMs)
  opened.push(events)
  return events
}
const follower = (device?: string, mayFollow = () => true) => ({ out: new PassThrough(), device, mayFollow })
const connected = (device: string) => ({ type: 'connected', atMs: 1, device }) as const
const readOf = (out: PassThrough) => String(out.read() ?? '')

it('tells each follower what concerns it, and those that came later nothing of what was before', () => {
  const events = open()
  const [all, one, late] = [follower(), follower('gate-1'), follower()]
  events.follow(all)
  events.follow(one)
  for (const device of ['gate-1', 'gate-2']) events.tell(connected(device))
  events.follow(late)
  expect(readOf(all.out).match(/"device":"gate-\d"/g)).toEqual(['"device":"gate-1"', '"device":"gate-2"'])
  expect(readOf(one.out)).toBe(
    ':\n\nevent: connected\ndata: {"type":"connected","atMs":1,"device":"gate-1"}\n\n',
  )
  expect(readOf(late.out)).toBe(':\n\n')
})

it('cuts a follower that does not read, and no other', () => {
  const events = open()
  const [slow, quick] = [follower(), follower()]
  events.follow(slow)
  events.follow(quick)
  quick.out.resume()
  for (let told = 0; told < 10_000 && !slow.out.destroyed; told++) {
    events.tell(connected(`gate-${told}`))
    readOf(quick.out)
  }
  expect([slow.out.destroyed, quick.out.destroyed]).toEqual([true, false])
})

it('ends a follower that is not welcome any more', async () => {
  const events = open(5)
  let isWelcome = true
  const one = follower(undefined, () => isWelcome)
  events.follow(one)
  one.out.resume()
  isWelcome = false
  await expect.poll(() => one.out.writableEnded).toBe(true)
  await expect.poll(() => events.followerCount).toBe(0)
})

it('ends who is not welcome any more when it is told to look, and waits for no beat', () => {
  const events = open()
  let isWelcome = true
  const [one, other] = [follower(undefined, () => isWelcome), follower()]
  for (const each of [one, other]) events.follow(each)
  events.sendAway()
  expect([one.out.writableEnded, other.out.writableEnded]).toEqual([false, false])
  isWelcome = false
  events.sendAway()
  expect([one.out.writableEnded, other.out.writableEnded]).toEqual([true, false])
})

it('has room for so many', () => {
  const events = open()
  const followers = Array.from({ length: 32 }, () => follower())
  for (const one of followers) {
    events.requireRoom()
    events.follow(one)
  }
  expect(() => events.requireRoom()).toThrow('too many')
})
