/** What one client may ask of ingest at once, and one person for whom a console asks. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audiences } from '../../core/contract/principal.ts'
import { type IngestUnderTest, startIngest } from '../kit/ingest.ts'

describe('requests at once', () => {
  let ingest: IngestUnderTest
  beforeAll(async () => {
    ingest = await startIngest({ env: { LOTWATCH_INGEST_REQUESTS_AT_ONCE_MAX: '1' } })
  })
  afterAll(() => ingest.stop())

  const as = (token: string, person: string) => (path: string) =>
    ingest.ask(path, { token, headers: { 'lotwatch-person': person } })

  test('of a console are those of each person', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings manage:store')
    const [maria, otto] = [as(token, 'maria'), as(token, 'otto')]
    const live = await maria('/v1/live')
    expect((await maria('/v1/lots')).status).toBe(503)
    expect((await otto('/v1/lots')).status).toBe(200)
    await live.body?.cancel()
  })

  test('of any other client are its own, whomever it names', async () => {
    const token = await ingest.issuer.token(audiences.ingest, 'read:readings')
    const live = await as(token, 'maria')('/v1/live')
    expect((await as(token, 'otto')('/v1/lots')).status).toBe(503)
    await live.body?.cancel()
  })
})
