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
  const rules = (principal.acl ?? deviceAcl(principal.scopes)).map((rule) => readRule(rule, deviceId))

  return {
    mayPublish(topic, packet) {
      const parsed = parseTopic(topic)
      // Whatever a token says: a device speaks only for itself, and nothing is retained.
      if (parsed === undefined || packet.retain) return false
      if (parsed.kind !== authzInfoTopic && parsed.deviceId !== deviceId) return false
      const rule = rules.find(
        (candidate) => concerns(candidate, 'publish', packet) && covers(candidate, topic),
      )
      return rule?.permission === 'allow'
    },
    maySubscribe(filter, qos) {
      if (!isTopicFilter(filter)) return false
      for (const rule of rules) {
        if (!concerns(rule, 'subscribe', { qos, retain: undefined })) continue
        if (covers(rule, filter)) return rule.permission === 'allow'
        // A denial of a part of what the filter matches refuses the whole.
        if (rule.permission === 'deny' && !rule.isLiteral && overlaps(filter, rule.topic)) return false
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

/** A rule for one device. */
interface OwnRule extends AclRule {
  /** Meant as it is written: it covers what is spelled like it and nothing else, be it a wildcard. */
  readonly isLiteral: boolean
}

/** Placeholders stand for whole segments; the device's identifier cannot hold a wildcard or a slash. */
function readRule(rule: AclRule, deviceId: string): OwnRule {
  if (rule.topic.startsWith('eq ')) return { ...rule, topic: rule.topic.slice(3), isLiteral: true }
  const topic = rule.topic
    .split('/')
    .map((segment) => (segment === '${clientid}' || segment === '${username}' ? deviceId : segment))
    .join('/')
  return { ...rule, topic, isLiteral: false }
}

function covers({ topic, isLiteral }: OwnRule, filter: string): boolean {
  return isLiteral ? filter === topic : isWithin(filter, topic)
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
