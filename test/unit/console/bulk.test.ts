import { describe, expect, it } from 'vitest'
import { type Api, Problem } from '../../../console/web/api.ts'
import { actOnAll, type BulkAction, type BulkVerdict } from '../../../console/web/bulk.ts'

const many = Array.from({ length: 30 }, (_, i) => `gate-${i}`)

/** @param answer of a request; a Problem is thrown */
function apiOf(answer: (request: string, body?: unknown, headers?: object) => unknown): Api {
  const ask = (method: string) => async (path: string, more?: { body?: unknown; headers?: object }) => {
    const found = answer(
      `${method} ${path.replace('/api/provisioning/v1/devices/', '')}`,
      more?.body,
      more?.headers,
    )
    if (found instanceof Problem) throw found
    return found
  }
  return {
    post: ask('POST'),
    patch: ask('PATCH'),
    delete: ask('DELETE'),
    response: async (method: string, path: string) => ask(method)(path),
  } as unknown as Api // what is called of it
}

async function act(api: Api, action: BulkAction, ids = many, signal = new AbortController().signal) {
  const verdicts: BulkVerdict[] = []
  await actOnAll(api, ids, action, { signal, decided: (verdict) => verdicts.push(verdict) })
  return verdicts
}

describe('one thing done to many devices', () => {
  it('gives each its own verdict, and one that is refused stops no other', async () => {
    const api = apiOf((request) =>
      request.includes('gate-7/') ? new Problem(409, 'request.conflict', 'It is retired.') : undefined,
    )
    const verdicts = await act(api, { what: 'suspend' })
    expect(verdicts.map(({ deviceId }) => deviceId).toSorted()).toEqual(many.toSorted())
    expect(verdicts.filter(({ verdict }) => verdict !== 'done')).toEqual([
      { deviceId: 'gate-7', verdict: 'error', detail: 'It is retired.' },
    ])
  })

  it('leaves the rest alone once it is stopped', async () => {
    const stop = new AbortController()
    let asked = 0
    const api = apiOf(() => void (++asked === 3 && stop.abort()))
    const verdicts = await act(api, { what: 'retire' }, many, stop.signal)
    expect(verdicts.length).toBe(asked)
    expect(asked).toBeLessThan(many.length)
  })

  it('adds a tag to those there are, unless somebody changed them meanwhile', async () => {
    const patched: unknown[] = []
    const api = apiOf((request, body, headers) => {
      if (request.startsWith('GET'))
        return new Response(JSON.stringify({ tags: request.includes('gate-1') ? ['north'] : ['old'] }), {
          headers: { etag: '"1"' },
        })
      patched.push([request, body, headers])
      return undefined
    })
    const verdicts = await act(api, { what: 'tag', tag: 'north' }, ['gate-0', 'gate-1'])
    expect(patched).toEqual([['PATCH gate-0', { tags: ['old', 'north'] }, { 'if-match': '"1"' }]])
    expect(verdicts).toContainEqual({ deviceId: 'gate-1', verdict: 'unchanged', detail: 'It has the tag.' })
  })

  it('takes a device without a connection for one whose connection is closed', async () => {
    const api = apiOf(() => new Problem(404, 'request.not_found', 'none'))
    expect(await act(api, { what: 'kick' }, ['gate-0'])).toMatchObject([{ verdict: 'unchanged' }])
  })
})
