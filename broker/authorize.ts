/**
 * Principal × action × topic → yes or no. Pure. No match means no.
 * Rights come from the token's `acl` claim in EMQX's ordered form; an issuer that sends none gets them from its scopes.
 */
import { type AclRule, deviceAcl, type Principal } from '../core/contract/principal.ts'
import { authzInfoTopic, isTopicFilter, isWithin, parseTopic } from '../core/contract/topic.ts'

export interface Rights {
  mayPublish(topic: string, packet: { qos: 0 | 1; retain: boolean }): boolean
  /** Every topic the filter matches must be granted, and none of them denied by an earlier rule. */
  maySubscribe(filter: string, qos: 0 | 1 | 2): boolean
}

/** The rights of a device's token. A principal that is no device has none. */
export function rightsOf(principal: Principal): Rights {
  const { deviceId } = principal
  if (deviceId === undefined) return { mayPublish: () => false, maySubscribe: () => false }
  const rules = (principal.acl ?? deviceAcl(principal.scopes)).map((rule) => ({
    ...rule,
    topic: interpolate(rule.topic, deviceId),
  }))

  return {
    mayPublish(topic, packet) {
      const parsed = parseTopic(topic)
      // Whatever a token says: a device speaks only for itself, and nothing is retained.
      if (parsed === undefined || packet.retain) return false
      if (parsed.kind !== authzInfoTopic && parsed.deviceId !== deviceId) return false
      const rule = rules.find(
        (candidate) => concerns(candidate, 'publish', packet) && isWithin(topic, candidate.topic),
      )
      return rule?.permission === 'allow'
    },
    maySubscribe(filter, qos) {
      if (!isTopicFilter(filter)) return false
      for (const rule of rules) {
        if (!concerns(rule, 'subscribe', { qos, retain: undefined })) continue
        if (isWithin(filter, rule.topic)) return rule.permission === 'allow'
        // A denial of a part of what the filter matches refuses the whole.
        if (rule.permission === 'deny' && overlaps(filter, rule.topic)) return false
      }
      return false
    },
  }
}

function concerns(
  rule: AclRule,
  action: 'publish' | 'subscribe',
  packet: { qos: number; retain: boolean | undefined },
): boolean {
  return (
    (rule.action === action || rule.action === 'all') &&
    (rule.qos === undefined || rule.qos.some((qos) => qos === packet.qos)) &&
    (rule.retain === undefined || packet.retain === undefined || rule.retain === packet.retain)
  )
}

/** Placeholders stand for whole segments; the device's identifier cannot hold a wildcard or a slash. */
function interpolate(topic: string, deviceId: string): string {
  if (topic.startsWith('eq ')) return topic.slice(3)
  return topic
    .split('/')
    .map((segment) => (segment === '${clientid}' || segment === '${username}' ? deviceId : segment))
    .join('/')
}

/** Whether some topic name is matched by both filters. */
function overlaps(a: string, b: string): boolean {
  const left = a.split('/')
  const right = b.split('/')
  for (let i = 0; ; i++) {
    if (left[i] === '#' || right[i] === '#') return true
    if (left[i] === undefined || right[i] === undefined) return left[i] === right[i]
    if (left[i] !== '+' && right[i] !== '+' && left[i] !== right[i]) return false
  }
}
