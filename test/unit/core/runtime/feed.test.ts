import { afterEach, expect, it } from 'vitest'
import { Revocations } from '../../../../core/auth/revocations.ts'
import { createTokenSource } from '../../../../core/auth/token-source.ts'
import type { FeedEvent, Revocation } from '../../../../core/contract/feed.ts'
import { type FeedFollower, followFeed } from '../../../../core/runtime/feed.ts'
import { type Api, createApi, createFetch } from '../../../../core/runtime/fetch.ts'
import { createLog } from '../../../../core/runtime/log.ts'
import { type Issuer, startIssuer } from '../../../kit/issuer.ts'
import { eventually } from '../../../kit/program.ts'

const nowMs = () => performance.now()
const principal = { credentialId: 'cred_1', tokenId: 't', oauthClientId: 'c', issuedAtSec: 0 }

let issuer: Issuer | undefined
let feed: FeedFollower | undefined
afterEach(async () => {
  feed?.stop()
  await issuer?.stop()
  issuer = undefined
})

async function setUp(options: { api?: (api: Api) => Api | Promise<Api>; clock?: () => number } = {}) {
  issuer = await startIssuer()
  const fetch = createFetch()
  const tokens = createTokenSource({
    credential: issuer.credential('c'),
    audience: 'a',
    fetch,
    nowMs,
    random: Math.random,
  })
  const api = createApi({ baseUrl: issuer.url, tokens, fetch, unavailable: 'provisioning.unavailable' })
  const revocations = new Revocations()
  const heard: { event: FeedEvent; wasRevoked: boolean }[] = []
  feed = followFeed({
    api: options.api?.(api) ?? api,
    revocations,
    log: createLog({ program: 'test', level: 'silent' }),
    random: () => 0,
    nowMs: options.clock ?? nowMs,
    ageMaxMs: 1000,
    onEvent: (event) => heard.push({ event, wasRevoked: revocations.isRevoked(principal) }),
  })
  return { issuer, feed, heard, revocations }
}

it('nothing is known before the first snapshot', async () => {
  let give: (() => void) | undefined
  const { feed, heard } = await setUp({ api: (api) => new Promise((resolve) => (give = () => resolve(api))) })
  expect(feed.isKnown()).toBe(false)
  give?.()
  await eventually(() => feed.isKnown())
  expect(heard.map(({ event }) => event.type)).toEqual(['snapshot'])
})

it('a revocation holds before the program is told of it', async () => {
  const { issuer, heard } = await setUp()
  await eventually(() => heard.length === 1)
  issuer.push({ type: 'revocation', data: { of: 'credential', credentialId: 'cred_1', atMs: Date.now() } })
  await eventually(() => heard.length === 2)
  expect(heard.map(({ wasRevoked }) => wasRevoked)).toEqual([false, true])
})

it('what was heard is good for its age when the feed is away, and no longer', async () => {
  let clockMs = 0
  const { issuer, feed } = await setUp({ clock: () => clockMs })
  await eventually(() => feed.isKnown())
  await issuer.stop()
  clockMs = 900
  await eventually(
    () => {
      clockMs += 20
      return !feed.isKnown()
    },
    10_000,
    5,
  )
  expect(clockMs).toBeGreaterThan(1000)
})

it('a feed that is reached and says nothing grows as old as one that is away', async () => {
  let clockMs = 0
  let isMute = false
  const mute = (api: Api): Api => ({
    ...api,
    // Its answer begins, and breaks off before a word was said.
    response: (path, request) =>
      isMute ? Promise.resolve(new Response(new Blob([]).stream())) : api.response(path, request),
  })
  const { issuer, feed } = await setUp({ clock: () => clockMs, api: mute })
  await eventually(() => feed.isKnown())
  isMute = true
  issuer.silence(true)
  await eventually(
    () => {
      clockMs += 20
      return !feed.isKnown()
    },
    10_000,
    5,
  )
  expect(clockMs).toBeGreaterThan(1000)
  isMute = false
  issuer.silence(false)
  await eventually(() => feed.isKnown())
})

it('an event that cannot be read leaves nothing known until a snapshot has come again', async () => {
  const { issuer, feed, heard } = await setUp()
  await eventually(() => feed.isKnown())
  // A newer provisioning, or a broken one: this follower cannot tell what it was told.
  const unfit = { of: 'credential', credentialId: 'cred_1', atMs: 'now' } as unknown as Revocation
  issuer.push({ type: 'revocation', data: unfit })
  await eventually(() => !feed.isKnown())
  await eventually(() => heard.filter(({ event }) => event.type === 'snapshot').length > 1)
})
