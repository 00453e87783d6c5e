/** `lot-agent config check` and `config show`: whether the settings are right, and what they are and why. */
import { type AgentSettings, agentSettings } from '../config.ts'
import type { FoundConfig } from '../config-files.ts'

export interface ShownRemote {
  readonly version: number
  readonly settings: Readonly<Record<string, unknown>>
}

/** What `config check` says when nothing is wrong. */
export function checkedConfig({ files }: FoundConfig): string {
  return files.length === 0
    ? 'ok: no file, all from the environment or by default\n'
    : `ok: ${files.join(', ')}\n`
}

/**
 * All settings that are not absent, as a settings file would have them.
 * @param remote what was set from afar, which goes over all of it
 */
export function shownConfig(
  { config, origins }: FoundConfig,
  remote: ShownRemote | undefined,
  options: { origin: boolean },
): string {
  const rows = (Object.keys(agentSettings.properties) as (keyof AgentSettings)[]).flatMap((key) => {
    const isRemote = remote !== undefined && Object.hasOwn(remote.settings, key)
    const value = isRemote ? remote.settings[key] : config[key]
    if (value === undefined) return []
    const origin = isRemote ? `set from afar, version ${remote.version}` : (origins.get(key) ?? 'default')
    return [{ text: `  ${key}: ${JSON.stringify(withoutSecrets(key, value))}`, origin }]
  })
  const width = Math.min(60, Math.max(...rows.map(({ text }) => text.length)))
  const lines = rows.map(({ text, origin }) => (options.origin ? `${text.padEnd(width)}  # ${origin}` : text))
  return `agent:\n${lines.join('\n')}\n`
}

/** Parameters of a token request may be anything, and so may what a program is started with. */
function withoutSecrets(key: keyof AgentSettings, value: unknown): unknown {
  if (key === 'tokenParameters') return String(value).replace(/=[^&]*/g, '=…')
  if (key === 'execCommand' && Array.isArray(value)) return [value[0], ...value.slice(1).map(() => '…')]
  if (key === 'sensors' && Array.isArray(value))
    return value.map((row: { command?: readonly string[] }) =>
      row.command === undefined ? row : { ...row, command: withoutSecrets('execCommand', row.command) },
    )
  return value
}
