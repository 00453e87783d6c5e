/** While nobody can tell a broker what is revoked: those it knows stay for as long as is said, and then nobody new comes in. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BrokerUnderTest, startBroker } from '../kit/broker.ts'
import { eventually } from '../kit/program.ts'

const ageMaxSec = 2

describe('while the feed is away', () => {
  let broker: BrokerUnderTest
  beforeAll(async () => {
    broker = await startBroker({ env: { LOTWATCH_BROKER_FEED_AGE_MAX_SEC: String(ageMaxSec) } })
  })
  afterAll(() => broker.stop())

  it('a connection stays, and others are let in until the age that is set; then they are asked to come back', async () => {
    const known = await broker.connect('known')
    expect((await known.next('connack')).returnCode).toBe(0)
    const early = await broker.token('early')
    const late = await broker.token('late')
    broker.issuer.silence(true)
    await eventually(() => broker.events('feed.away').length > 0)
    expect(await broker.answerTo('early', { token: early })).toBe(0)
    await eventually(async () => (await broker.answerTo('late', { token: late })) === 3)
    known.send({ cmd: 'pingreq' })
    await known.next('pingresp')
    expect((await fetch(`${broker.url}/readyz`)).status).toBe(503)

    broker.issuer.silence(false)
    await eventually(async () => (await broker.answerTo('late', { token: late })) === 0)
    known.send({ cmd: 'pingreq' })
    await known.next('pingresp')
    known.close()
  })
})
