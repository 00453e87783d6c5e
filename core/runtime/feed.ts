/**
 * Follows provisioning's feed for a program: keeps its revocations, knows how old its knowledge is, and hands every
 * event on. What a program makes of lots, devices and assignments is its own.
 */
import type { Revocations } from '../auth/revocations.ts'
import { type FeedEvent, feedBeatMs, parseFeedEvent } from '../contract/feed.ts'
import { type Api, type EventStream, followEvents } from './fetch.ts'
import type { Log } from './log.ts'

export interface FeedFollower {
  /** False until the first snapshot, and when the feed has been away for longer than `ageMaxMs`. */
  isKnown(): boolean
  stop(): void
}

export function followFeed(options: {
  /** May resolve later, when there is a credential to follow with; a rejection ends the program. */
  api: Api | Promise<Api>
  revocations: Revocations
  log: Log
  random: () => number
  /** Monotonic milliseconds. */
  nowMs: () => number
  /** How long what was last heard is good enough to let anybody in by. */
  ageMaxMs: number
  /** After the revocations have been brought up to date with it. */
  onEvent: (event: FeedEvent) => void
}): FeedFollower {
  const { revocations, log } = options
  let isKnown = false
  let isStopped = false
  let awaySinceMs: number | undefined
  let stream: EventStream | undefined

  function hear(type: string, data: string): void {
    const event = parsed(type, data)
    if (event === undefined) return
    if (event.type === 'snapshot') revocations.replace(event.data.revocations)
    else if (event.type === 'revocation') revocations.apply(event.data)
    options.onEvent(event)
    isKnown ||= event.type === 'snapshot'
  }

  /** What cannot be read may have been a revocation: nothing is known until the next snapshot, which is asked for. */
  function parsed(type: string, data: string): FeedEvent | undefined {
    try {
      return parseFeedEvent(type, data)
    } catch (error) {
      isKnown = false
      log.error('feed.unreadable', { type, error })
      throw error
    }
  }

  const follow = (api: Api) =>
    followEvents({
      api,
      path: '/v1/feed',
      silentMs: feedBeatMs * 3,
      random: options.random,
      onEvent: ({ type, data }) => hear(type, data),
      // To reach it is not to hear it: one whose answers begin and break off is as good as away.
      onHeard() {
        awaySinceMs = undefined
      },
      onState(state) {
        if (!state.connected) awaySinceMs ??= options.nowMs()
        if (state.connected) log.info('feed.connected')
        else log.warn('feed.away', { error: state.error })
      },
    })
  void Promise.resolve(options.api).then((api) => {
    if (!isStopped) stream = follow(api)
  })

  return {
    isKnown: () =>
      isKnown && (awaySinceMs === undefined || options.nowMs() - awaySinceMs <= options.ageMaxMs),
    stop() {
      isStopped = true
      stream?.stop()
    },
  }
}
