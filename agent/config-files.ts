/**
 * The agent's settings files: one, the files of the folder `config.d` beside it in the order of their names, each over
 * those before it, and where each setting was found, so that a fault can be told with its file and line.
 */
import { LineCounter, parseDocument } from 'yaml'
import { FleetError, isFleetError } from '../core/contract/errors.ts'
import { type SettingsSource, settingName } from '../core/runtime/env.ts'
import { type AgentConfig, readAgentConfig } from './config.ts'

/** Where settings are looked for. */
export interface ConfigPlaces {
  readonly env: Readonly<Record<string, string | undefined>>
  /** `name=value`, from the command line; over everything else. */
  readonly flags: readonly string[]
  /** @returns undefined when there is no such file; throws what the system says otherwise */
  readonly readFile: (path: string) => string | undefined
  /** Names of the files in a folder; none when there is no such folder. */
  readonly list: (folder: string) => readonly string[]
}

export interface FoundConfig {
  readonly config: AgentConfig
  /** Setting → `path:line`, a variable or a flag; what is not there has its default. */
  readonly origins: ReadonlyMap<string, string>
  /** In the order they were read. */
  readonly files: readonly string[]
}

/** The first of them that exists; `LOT_AGENT_CONFIG` names another. */
export const configFiles = ['lot-agent.yaml', '/etc/lot-agent/config.yaml'] as const

/** @throws FleetError `config.invalid` with every fault of every file, each with its file and line where that is known */
export function findConfig(places: ConfigPlaces): FoundConfig {
  const faults: string[] = []
  const origins = new Map<string, string>()
  const files = filesOf(places, faults)
  let merged: Record<string, unknown> = {}
  let section: Record<string, unknown> = {}
  for (const { path, text } of files) {
    const lines = new LineCounter()
    const document = parseDocument(text, { lineCounter: lines })
    for (const { message } of document.errors) faults.push(`${path}: ${message.split('\n', 1)[0]}`)
    if (document.errors.length > 0) continue
    const value: unknown = document.toJS()
    if (value === null || value === undefined) continue
    if (typeof value !== 'object' || Array.isArray(value)) {
      faults.push(`${path}: is not a mapping`)
      continue
    }
    merged = { ...merged, ...value }
    const { agent } = value as { agent?: unknown }
    if (typeof agent !== 'object' || agent === null || Array.isArray(agent)) continue
    section = { ...section, ...agent }
    for (const key of Object.keys(agent)) {
      const at = (document.getIn(['agent'], true) as YamlMap).items.find((pair) => String(pair.key) === key)
      origins.set(key, `${path}:${lines.linePos(at?.key.range?.[0] ?? 0).line}`)
    }
  }
  if (typeof merged.agent === 'object') merged = { ...merged, agent: section }

  const env = { ...places.env }
  // Of a setting that ends so, or of another that is in a file of its own.
  for (const [name, value] of Object.entries(env))
    if (value) for (const one of [name, name.replace(/_FILE$/, '')]) origins.set(keyOf(one), name)
  for (const flag of places.flags) {
    const [, key, value] = /^([A-Za-z]+)=(.*)$/s.exec(flag) ?? []
    if (key === undefined || value === undefined) {
      faults.push(`--set ${flag}: is not name=value`)
      continue
    }
    env[settingName(prefix, key)] = value
    delete env[`${settingName(prefix, key)}_FILE`]
    origins.set(key, `--set ${key}`)
  }
  const readFile = (path: string) => places.readFile(path) ?? missing(path)
  const config = readWith({ file: merged, env, readFile }, origins, faults)
  if (config === undefined || faults.length > 0)
    throw new FleetError('config.invalid', `${faults.length} wrong settings`, { faults })
  return { config, origins, files: files.map(({ path }) => path) }
}

const prefix = 'LOT_AGENT'

interface YamlMap {
  readonly items: readonly { readonly key: { readonly range?: readonly number[]; toString(): string } }[]
}

function filesOf({ env, readFile, list }: ConfigPlaces, faults: string[]): { path: string; text: string }[] {
  const found: { path: string; text: string }[] = []
  const read = (path: string, isRequired: boolean): boolean => {
    try {
      const text = readFile(path)
      if (text !== undefined) found.push({ path, text })
      else if (isRequired) faults.push(`${path}: there is no such file`)
      return text !== undefined
    } catch (error) {
      faults.push(`${path}: cannot be read: ${(error as Error).message}`)
      return true
    }
  }
  const named = env.LOT_AGENT_CONFIG || undefined
  if (named !== undefined) read(named, true)
  const main = named ?? configFiles.find((path) => read(path, false))
  const folder = `${(main ?? configFiles[1]).replace(/[^/]*$/, '')}config.d`
  for (const name of [...list(folder)].filter((one) => one.endsWith('.yaml')).sort())
    read(`${folder}/${name}`, true)
  return found
}

function readWith(
  source: SettingsSource,
  origins: ReadonlyMap<string, string>,
  faults: string[],
): AgentConfig | undefined {
  try {
    return readAgentConfig(source)
  } catch (error) {
    if (!isFleetError(error, 'config.invalid')) throw error
    faults.push(...error.faults.map((fault) => located(fault, origins)))
    return undefined
  }
}

/** With the file and line of the setting that a fault is about. */
function located(fault: string, origins: ReadonlyMap<string, string>): string {
  const [, inFile, variable] = /^(?:agent\.(\w+)|(LOT_AGENT_[A-Z_]+)|sensors\[)/.exec(fault) ?? []
  const key = inFile ?? (variable === undefined ? 'sensors' : keyOf(variable))
  const origin = origins.get(key)
  return origin?.includes(':') === true ? `${origin}: ${fault}` : fault
}

/** `LOT_AGENT_CLOCK_FILE` → `clockFile`. */
function keyOf(variable: string): string {
  return variable
    .slice(prefix.length + 1)
    .toLowerCase()
    .replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function missing(path: string): never {
  throw Object.assign(new Error(`${path} is not there`), { code: 'ENOENT' })
}
