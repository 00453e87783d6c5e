/** Identifiers: their one grammar, and how a human name becomes one. */

declare const brand: unique symbol
/** The device, everywhere: MQTT client identifier, user name, topic segment, row. */
export type DeviceId = string & { readonly [brand]: 'DeviceId' }
export type LotId = string & { readonly [brand]: 'LotId' }
/** 64 random bits in hex: lives and dies with one outbox. */
export type Epoch = string & { readonly [brand]: 'Epoch' }

/** Grammar of device and lot identifiers; also safe as a topic segment and a file name. */
export const identifierPattern = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'
export const epochPattern = '^[0-9a-f]{16}$'

const identifier = new RegExp(identifierPattern)
const epoch = new RegExp(epochPattern)

export function parseDeviceId(text: unknown): DeviceId | undefined {
  return typeof text === 'string' && identifier.test(text) ? (text as DeviceId) : undefined
}

export function parseLotId(text: unknown): LotId | undefined {
  return typeof text === 'string' && identifier.test(text) ? (text as LotId) : undefined
}

export function parseEpoch(text: unknown): Epoch | undefined {
  return typeof text === 'string' && epoch.test(text) ? (text as Epoch) : undefined
}

/**
 * The identifier for a name such as "Bull Ring" (`Bull-Ring`): runs of other characters become one hyphen.
 * A name that already is an identifier stays as it is. Two names may have one slug: the caller checks.
 * @returns undefined when nothing of the name is left
 */
export function slugOf(name: string): string | undefined {
  if (identifier.test(name)) return name
  const slug = name
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[-_]+|-+$/g, '')
    .slice(0, 64)
  return identifier.test(slug) ? slug : undefined
}
