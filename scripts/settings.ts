/** Every setting of every program, from the schemas that read them, as `.env.example` and `docs/settings.md`. Pure. */
import type { TObject } from 'typebox'
import { agentSettings } from '../agent/config.ts'
import { brokerSettings } from '../broker/config.ts'
import { cliSettings } from '../cli/config.ts'
import { consoleSettings } from '../console/config.ts'
import { settingName } from '../core/runtime/env.ts'
import { ingestSettings } from '../ingest/config.ts'
import { provisioningSettings } from '../provisioning/config.ts'
import { markdownTable } from './marks.ts'

interface ProgramSettings {
  readonly title: string
  readonly section: string
  readonly prefix: string
  readonly file: string
  readonly schema: TObject
}

const shared = { file: 'lotwatch.yaml' }
const programs: readonly ProgramSettings[] = [
  {
    ...shared,
    title: 'Provisioning',
    section: 'provisioning',
    prefix: 'LOTWATCH_PROVISIONING',
    schema: provisioningSettings,
  },
  { ...shared, title: 'Broker', section: 'broker', prefix: 'LOTWATCH_BROKER', schema: brokerSettings },
  { ...shared, title: 'Ingest', section: 'ingest', prefix: 'LOTWATCH_INGEST', schema: ingestSettings },
  { ...shared, title: 'Console', section: 'console', prefix: 'LOTWATCH_CONSOLE', schema: consoleSettings },
  { title: 'Agent', section: 'agent', prefix: 'LOT_AGENT', file: 'lot-agent.yaml', schema: agentSettings },
  { ...shared, title: 'lotctl', section: 'cli', prefix: 'LOTWATCH_CLI', schema: cliSettings },
]

/** What is not one program's. */
const common = [
  {
    name: 'LOTWATCH_DATA',
    byDefault: './data',
    description: 'the data folder of all programs but the agent; `data:` at the top of the file',
  },
  {
    name: 'LOTWATCH_CONFIG',
    byDefault: 'lotwatch.yaml',
    description: 'the settings file; without this variable it need not exist',
  },
  {
    name: 'LOT_AGENT_CONFIG',
    byDefault: 'lot-agent.yaml',
    description: 'the same for the agent, which then looks for `/etc/lot-agent/config.yaml`',
  },
]

interface Setting {
  readonly key: string
  readonly name: string
  readonly byDefault: string | undefined
  readonly description: string
  /** It is a secret, or names a file that holds one. */
  readonly secret: 'secret' | 'secret file' | undefined
}

/** Every variable that a program reads → its default, as text. */
export function settingDefaults(): ReadonlyMap<string, string | undefined> {
  return new Map(
    [...common, ...programs.flatMap(settingsOf)].map(({ name, byDefault }) => [name, byDefault] as const),
  )
}

export function settingsPage(): string {
  const sections = programs.map((program) => {
    const settings = settingsOf(program).map(({ key, name, byDefault, description, secret }) => [
      code(key),
      code(name),
      byDefault === undefined ? '' : code(byDefault),
      secret === undefined ? description : `${description} **(${secret})**`,
    ])
    const head = `## ${program.title}: \`${program.section}:\` in \`${program.file}\``
    return `${head}\n\n${markdownTable([['setting', 'variable', 'default', 'meaning'], ...settings])}`
  })
  const commonRows = common.map(({ name, byDefault, description }) => [
    code(name),
    code(byDefault),
    description,
  ])
  return `${[
    '# Settings',
    'Written by `npm run schemas` from the schemas in each program’s `config.ts`; a test compares.',
    [
      'A setting is looked for in the environment, then in the program’s section of the settings file, then the',
      'default holds. For the agent, `config.d/*.yaml` beside its file goes over it, `--set name=value` over the environment,',
      'and what is set from afar over all; `lot-agent config check` tells every fault with file and line, `lot-agent config',
      'show --origin` where each setting comes from. An empty variable counts as unset. Each variable `X` may be given as `X_FILE` instead, which names',
      'a file with the value. Unknown members of a section and unknown variables with a program’s prefix are errors, so',
      'that a typing error is told and not ignored: one error names all faults, exit code 78. Settings marked as a secret',
      'file name a file that holds one; a setting marked as a secret is one itself, and is better given as `X_FILE`. A',
      'credential file must be readable by its owner alone.',
    ].join('\n'),
    markdownTable([['variable', 'default', 'meaning'], ...commonRows]),
    ...sections,
  ].join('\n\n')}\n`
}

export function envExample(): string {
  const head = [
    '# Every setting with its default, written by `npm run schemas` from the schemas in each config.ts; a test compares.',
    '# No program reads this file by itself. To use a copy:  cp .env.example .env; set -a; . ./.env; set +a; npm start',
    '# Each variable may be given as X_FILE instead, the name of a file with the value.',
  ]
  const common = ['', '# All programs', ...commonEntries()]
  const sections = programs.flatMap((program) => [
    '',
    `# ${program.title}`,
    ...settingsOf(program).flatMap(({ name, byDefault, description }) => [
      `# ${description.replaceAll('`', '')}`,
      `#${name}=${shell(byDefault)}`,
    ]),
  ])
  return `${[...head, ...common, ...sections].join('\n')}\n`
}

function commonEntries(): string[] {
  return common.flatMap(({ name, byDefault, description }) => [
    `# ${description.replaceAll('`', '')}`,
    `#${name}=${byDefault}`,
  ])
}

function settingsOf({ schema, prefix }: ProgramSettings): Setting[] {
  return Object.entries(schema.properties).map(([key, property]) => {
    const { default: byDefault, description } = property as { default?: unknown; description?: string } // any TypeBox schema has both
    if (description === undefined) throw new Error(`${prefix} ${key} has no description`)
    return {
      key,
      name: settingName(prefix, key),
      byDefault: byDefault === undefined ? undefined : String(byDefault),
      description,
      secret: /^(credentialFile|tlsKeyFile)$/.test(key)
        ? 'secret file'
        : key === 'influxToken' || key === 'auth0ClientSecret' || key === 'oidcClientSecret'
          ? 'secret'
          : undefined,
    }
  })
}

function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``
}

/** For a file that a shell reads. */
function shell(value = ''): string {
  return /^[\w.:/-]*$/.test(value) ? value : `'${value}'`
}
