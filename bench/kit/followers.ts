/** Followers of the feed, each with a connection of its own; says when each event was read. A process of its own. */
import { get } from 'node:http'

export interface FollowersOrder {
  readonly url: string
  readonly token: string
  readonly followers: number
  /** What marks the events that count: the text between it and the next quote is the event's name. */
  readonly mark: string
}

/** Wall clock in milliseconds with a fraction: shared with the process that writes. */
const nowMs = () => performance.timeOrigin + performance.now()

function follow({ url, token, mark }: FollowersOrder, at: number, opened: () => void): void {
  const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' }
  get(url, { headers, agent: false }, (response) => {
    if (response.statusCode !== 200) throw new Error(`the feed answers ${response.statusCode}`)
    let rest = ''
    let isOpen = false
    response.setEncoding('utf8').on('data', (chunk: string) => {
      const readAtMs = nowMs()
      rest += chunk
      for (;;) {
        const end = rest.indexOf('\n\n')
        if (end < 0) return
        const event = rest.slice(0, end)
        rest = rest.slice(end + 2)
        const name = event.includes('event: snapshot') ? undefined : event.split(mark)[1]?.split('"')[0]
        if (name !== undefined) process.send?.({ read: { follower: at, name, atMs: readAtMs } })
        else if (!isOpen) {
          isOpen = true
          opened()
        }
      }
    })
    response.on('close', () => {
      throw new Error('the feed was closed')
    })
  })
}

process.once('message', (order: FollowersOrder) => {
  let open = 0
  for (let at = 0; at < order.followers; at++)
    follow(order, at, () => {
      if (++open === order.followers) process.send?.({ connected: open })
    })
  process.on('message', (message: { do: string }) => {
    if (message.do === 'stop') process.exit(0)
  })
})
