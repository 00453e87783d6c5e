/**
 * Settings: a section of `lotwatch.yaml` with the environment over it, parsed by one schema into a frozen object,
 * or one error that names every fault. Reads nothing but its arguments (secrets in files are read by the caller's `readFile`).
 */
import type { Static, TObject, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { FleetError } from '../contract/errors.ts'

export interface SettingsSource {
  /** Parsed `lotwatch.yaml`, or undefined when there is none. */
  readonly file: unknown
  readonly env: Readonly<Record<string, string | undefined>>
  /** For `…_FILE`, the file that holds a secret. */
  readonly readFile?: (path: string) => string
}

/** Names a file, not a setting in it. */
const fileVariables = new Set(['LOTWATCH_CONFIG', 'LOT_AGENT_CONFIG'])

/** What may be at the top of `lotwatch.yaml`. */
const topLevel = ['data', 'provisioning', 'broker', 'ingest', 'cli', 'agent', 'console']

/** The data folder all programs of one machine share: `LOTWATCH_DATA`, else `data` at the top of the file, else `./data`. */
export function readDataDir(source: SettingsSource): string {
  const fromFile = (source.file as { data?: unknown } | null | undefined)?.data
  return source.env.LOTWATCH_DATA ?? (typeof fromFile === 'string' ? fromFile : './data')
}

/** `batchAgeMs` of program `broker` → `LOTWATCH_BROKER_BATCH_AGE_MS`. */
export function settingName(prefix: string, key: string): string {
  return `${prefix}_${key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()}`
}

/**
 * Reads one program's settings. Scalars from the environment are converted by the schema's type; lists are comma-separated, lists of rows are JSON.
 * @param section name of the section in the file; its unknown members are faults, and so are unknown sections and unknown `PREFIX_…` variables
 * @throws FleetError `config.invalid` with one fault per wrong setting, each naming the setting and where it came from
 */
export function readSettings<Schema extends TObject>(
  schema: Schema,
  options: { section: string; prefix: string } & SettingsSource,
): Readonly<Static<Schema>> {
  const faults: string[] = []
  const settings: Record<string, unknown> = {}
  const section = sectionOf(options.file, { name: options.section, schema }, faults)
  const known = new Map<string, string>()
  for (const key of Object.keys(schema.properties)) known.set(settingName(options.prefix, key), key)

  for (const key of Object.keys(section)) {
    if (!Object.hasOwn(schema.properties, key))
      faults.push(
        `${options.section}.${key}: unknown setting${didYouMean(key, Object.keys(schema.properties))}`,
      )
  }
  for (const name of Object.keys(options.env)) {
    if (!name.startsWith(`${options.prefix}_`) || fileVariables.has(name)) continue
    if (!known.has(name) && !known.has(name.replace(/_FILE$/, '')))
      faults.push(`${name}: unknown setting${didYouMean(name, [...known.keys()])}`)
  }
  for (const [name, key] of known) {
    const property = schema.properties[key] as TSchema & { default?: unknown }
    const found = find(name, key, section, options)
    if (found.fault !== undefined) {
      faults.push(found.fault)
      continue
    }
    const value = found.text === undefined ? found.value : convert(property, found.text)
    if (value === undefined) {
      if (property.default !== undefined) settings[key] = property.default
      else if (schema.required?.includes(key as never)) faults.push(`${name}: is required`)
      continue
    }
    const [error] = Value.Errors(property, value)
    if (error === undefined) settings[key] = value
    else
      faults.push(
        `${found.where}: ${choicesOf(property) ?? error.message}${found.isSecret ? '' : `, but is ${JSON.stringify(found.text ?? value)}`}`,
      )
  }
  if (faults.length > 0) {
    throw new FleetError(
      'config.invalid',
      `${faults.length} wrong ${faults.length === 1 ? 'setting' : 'settings'}`,
      { faults },
    )
  }
  return Object.freeze(settings) as Readonly<Static<Schema>>
}

/** What a setting with a few words to choose from may be. */
function choicesOf(
  property: TSchema & { enum?: readonly unknown[]; anyOf?: readonly { const?: unknown }[] },
) {
  const choices = property.enum ?? property.anyOf?.map((one) => one.const)
  return choices === undefined || choices.includes(undefined) ? undefined : `must be ${choices.join(' or ')}`
}

function sectionOf(
  file: unknown,
  { name, schema }: { name: string; schema: TObject },
  faults: string[],
): Record<string, unknown> {
  if (file === undefined || file === null) return {}
  if (typeof file !== 'object' || Array.isArray(file)) {
    faults.push('the settings file is not a mapping')
    return {}
  }
  for (const key of Object.keys(file)) {
    if (key === name || topLevel.includes(key)) continue
    const isSetting = Object.hasOwn(schema.properties, key)
    faults.push(
      `${key}: unknown section${isSetting ? `; it is a setting under ${name}:` : didYouMean(key, topLevel)}`,
    )
  }
  const section = (file as Record<string, unknown>)[name] ?? {}
  if (typeof section === 'object' && !Array.isArray(section)) return section as Record<string, unknown>
  faults.push(`${name}: is not a mapping`)
  return {}
}

interface Found {
  where: string
  text?: string
  value?: unknown
  /** Came out of a file of its own: never repeated in a fault. */
  isSecret?: boolean
  fault?: string
}

function find(
  name: string,
  key: string,
  section: Record<string, unknown>,
  source: SettingsSource & { section: string },
): Found {
  // Set to nothing is not set: what `${X:-}` in a compose file leaves.
  const text = source.env[name] || undefined
  const path = source.env[`${name}_FILE`] || undefined
  if (text !== undefined && path !== undefined)
    return { where: name, fault: `${name}: is set, and ${name}_FILE too` }
  if (text !== undefined) return { where: name, text }
  if (path !== undefined && source.readFile !== undefined) {
    try {
      return { where: `${name}_FILE`, text: source.readFile(path).trim(), isSecret: true }
    } catch (error) {
      return {
        where: name,
        fault: `${name}_FILE: ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`,
      }
    }
  }
  return { where: `${source.section}.${key}`, value: section[key] ?? undefined }
}

function convert(schema: TSchema & { type?: string; items?: { type?: string } }, text: string): unknown {
  switch (schema.type) {
    case 'integer':
    case 'number':
      return /^-?[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : text
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    case 'array':
      if (schema.items?.type === 'object') return parseJson(text)
      return text.split(',').map((item) => item.trim())
    default:
      return text
  }
}

/** Text that is no JSON stays text, which is not what the schema wants. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** `; did you mean x?`, or nothing when no candidate is near. */
export function didYouMean(name: string, candidates: readonly string[]): string {
  const near = candidates
    .map((candidate) => [distance(name, candidate), candidate] as const)
    .sort((a, b) => a[0] - b[0])[0]
  return near !== undefined && near[0] <= Math.max(2, name.length / 4) ? `; did you mean ${near[1]}?` : ''
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + cost)) // in range
    }
    row = next
  }
  return row[b.length] as number // row has b.length + 1 entries
}
