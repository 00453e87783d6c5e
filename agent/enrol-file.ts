/**
 * `lotwatch-enrol.txt`, which lies on the boot partition of a card before its first boot: lines `name=value`, and the
 * server's certificate authority in PEM where it has one of its own. Pure.
 */
import { FleetError } from '../core/contract/errors.ts'

export interface EnrolFile {
  readonly url: string
  readonly key?: string
  readonly name?: string
  readonly device?: string
  /** PEM. */
  readonly ca?: string
}

const names = ['url', 'key', 'name', 'device'] as const
const pemShape = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/** Written on any kind of computer: line ends and a byte order mark do not matter. @throws FleetError `file.invalid` */
export function parseEnrolFile(text: string): EnrolFile {
  const plain = text.replace(/^\uFEFF/, '').replaceAll('\r', '')
  const pems = plain.match(pemShape) ?? []
  const found = new Map<string, string>()
  const faults: string[] = []
  for (const line of plain
    .replace(pemShape, '')
    .split('\n')
    .map((one) => one.trim())) {
    if (line === '' || line.startsWith('#')) continue
    const [, name = '', value = ''] = /^([a-z]+)\s*=\s*(.*)$/.exec(line) ?? []
    if (!names.some((known) => known === name)) faults.push(`unknown line; known are ${names.join(', ')}`)
    else if (found.has(name)) faults.push(`${name} is there twice`)
    else found.set(name, value)
  }
  const url = found.get('url')
  if (url === undefined) faults.push('url= is missing')
  if (url === undefined || faults.length > 0)
    throw new FleetError('file.invalid', 'the enrolment file cannot be read', { faults })
  const optional = (name: 'key' | 'name' | 'device') => {
    const value = found.get(name)
    return value === undefined || value === '' ? {} : { [name]: value }
  }
  return {
    url,
    ...optional('key'),
    ...optional('name'),
    ...optional('device'),
    ...(pems.length === 0 ? {} : { ca: `${pems.join('\n')}\n` }),
  }
}
