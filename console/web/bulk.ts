/** One thing done to many devices: each by its own request, a few at a time, with a verdict for each. */
import { type Api, Problem } from './api.ts'

export type BulkAction =
  | { readonly what: 'suspend' | 'resume' | 'retire' | 'kick' }
  | { readonly what: 'tag' | 'untag'; readonly tag: string }
  | { readonly what: 'assign'; readonly lotId: string }

export interface BulkVerdict {
  readonly deviceId: string
  readonly verdict: 'done' | 'unchanged' | 'error'
  /** Why, where it is not done. */
  readonly detail?: string
}

const atOnce = 4

/** Resolves when each has its verdict, or when it is aborted: those begun are then ended, others are left as they were. */
export async function actOnAll(
  api: Api,
  deviceIds: readonly string[],
  action: BulkAction,
  { signal, decided }: { signal: AbortSignal; decided: (verdict: BulkVerdict) => void },
): Promise<void> {
  let next = 0
  const work = async () => {
    while (!signal.aborted) {
      const deviceId = deviceIds[next++]
      if (deviceId === undefined) return
      decided({ deviceId, ...(await verdictOf(() => actOn(api, deviceId, action))) })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
}

type Outcome = Omit<BulkVerdict, 'deviceId'>

async function verdictOf(act: () => Promise<Outcome | undefined>): Promise<Outcome> {
  try {
    return (await act()) ?? { verdict: 'done' }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { verdict: 'error', detail: error.message }
  }
}

async function actOn(api: Api, deviceId: string, action: BulkAction): Promise<Outcome | undefined> {
  const id = encodeURIComponent(deviceId)
  const path = `/api/provisioning/v1/devices/${id}`
  switch (action.what) {
    case 'suspend':
    case 'resume':
    case 'retire':
      return api.post(`${path}/${action.what}`).then(() => undefined)
    case 'assign':
      return api
        .post(`${path}/assignments`, { body: { lotId: action.lotId, fromMs: Date.now() } })
        .then(() => undefined)
    case 'kick':
      return api.delete(`/api/broker/v1/connections/${id}`).then(
        () => undefined,
        (error) => {
          if (error instanceof Problem && error.status === 404)
            return { verdict: 'unchanged', detail: 'It is not connected.' }
          throw error
        },
      )
    case 'tag':
    case 'untag': {
      const shown = await api.response('GET', path)
      const { tags } = (await shown.json()) as { tags: readonly string[] } // a device
      const has = tags.includes(action.tag)
      if (has === (action.what === 'tag'))
        return { verdict: 'unchanged', detail: has ? 'It has the tag.' : 'It does not have the tag.' }
      const body = { tags: has ? tags.filter((tag) => tag !== action.tag) : [...tags, action.tag] }
      // Whoever changed them meanwhile is not overruled.
      return api
        .patch(path, { body, headers: { 'if-match': shown.headers.get('etag') ?? '' } })
        .then(() => undefined)
    }
    default: {
      const never: never = action
      return never
    }
  }
}
