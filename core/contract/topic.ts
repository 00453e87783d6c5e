/** The whole topic grammar, both directions. Topic *names* are published to, topic *filters* subscribed to. */
import { type DeviceId, parseDeviceId } from './device.ts'

/** What a device publishes under `devices/{deviceId}/`. */
export const publishedTopics = ['readings', 'status', 'replies'] as const
/** What a device receives under `devices/{deviceId}/`. */
export const receivedTopics = ['config', 'commands'] as const
/** RFC 9431 §3: a new token goes here; answered by the broker, never forwarded. */
export const authzInfoTopic = 'authz-info'

export type TopicKind = (typeof publishedTopics)[number] | (typeof receivedTopics)[number]

/** Where a topic name leads. */
export type ParsedTopic =
  | { readonly deviceId: DeviceId; readonly kind: TopicKind }
  | { readonly kind: 'authz-info' }

const kinds = new Set<string>([...publishedTopics, ...receivedTopics])
const topicCharsMax = 256

export function topicOf(deviceId: DeviceId, kind: TopicKind): string {
  return `devices/${deviceId}/${kind}`
}

/** @returns undefined for every name outside the grammar: `$`-topics, wildcards, look-alikes, other levels */
export function parseTopic(name: string): ParsedTopic | undefined {
  if (name === authzInfoTopic) return { kind: 'authz-info' }
  if (name.length > topicCharsMax || !name.startsWith('devices/')) return undefined
  const segments = name.split('/')
  const deviceId = parseDeviceId(segments[1])
  const kind = segments[2]
  if (segments.length !== 3 || deviceId === undefined || kind === undefined || !kinds.has(kind))
    return undefined
  return { deviceId, kind: kind as TopicKind }
}

/** MQTT 3.1.1 §4.7: whether a filter is well formed, without the reserved `$` at its start. */
export function isTopicFilter(filter: string): boolean {
  if (filter === '' || filter.length > topicCharsMax || filter.startsWith('$') || filter.includes('\u0000'))
    return false
  const segments = filter.split('/')
  return segments.every((segment, i) => {
    if (segment === '#') return i === segments.length - 1
    return segment === '+' || !/[#+]/.test(segment)
  })
}

/**
 * Whether everything `filter` matches is matched by `granted` too. Both are filters; a name is a filter without wildcards.
 * Compared by segment and never by substitution: an identifier with a wildcard in it cannot widen a grant.
 */
export function isWithin(filter: string, granted: string): boolean {
  const asked = filter.split('/')
  const have = granted.split('/')
  // [MQTT-4.7.2-1]: wildcards at the start do not match names that begin with `$`.
  if (filter.startsWith('$') !== granted.startsWith('$') && /^[#+]/.test(granted)) return false
  for (let i = 0; i < have.length; i++) {
    if (have[i] === '#') return true
    if (i >= asked.length || asked[i] === '#') return false
    if (have[i] === '+') continue
    if (asked[i] !== have[i]) return false
  }
  return asked.length === have.length
}
