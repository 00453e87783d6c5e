import { describe, expect, it } from 'vitest'
import { findConfig } from '../../../agent/config-files.ts'
import { shownConfig } from '../../../agent/verbs/config.ts'

/** A board with these files. */
function find(
  files: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
) {
  return findConfig({
    env,
    flags,
    readFile: (path) => files[path],
    list: (folder) =>
      Object.keys(files)
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => path.slice(folder.length + 1)),
  })
}

function faultsOf(...board: Parameters<typeof find>): unknown {
  try {
    find(...board)
  } catch (error) {
    return (error as { faults?: unknown }).faults
  }
  return 'no fault'
}

const etc = '/etc/lot-agent/config.yaml'
const folder = '/etc/lot-agent/config.d'

describe('the settings of a board', () => {
  it('come from the file, the folder beside it, the environment and flags, each over those before', () => {
    const files = {
      [etc]: 'agent:\n  windowMessages: 1\n  flushReadings: 1\n  flushEveryMs: 1\n  outboxDir: /a\n',
      [`${folder}/20.yaml`]: 'agent:\n  flushReadings: 3\n  flushEveryMs: 3\n  outboxDir: /c\n',
      [`${folder}/10.yaml`]: 'agent:\n  flushReadings: 2\n',
      [`${folder}/notes.txt`]: 'not yaml: [',
    }
    const {
      config,
      origins,
      files: read,
    } = find(
      files,
      { LOT_AGENT_FLUSH_EVERY_MS: '4', LOT_AGENT_OUTBOX_DIR: '/d', LOT_AGENT_CREDENTIAL_FILE: '/me.json' },
      ['outboxDir=/e'],
    )
    expect(config).toMatchObject({ windowMessages: 1, flushReadings: 3, flushEveryMs: 4, outboxDir: '/e' })
    expect(read).toEqual([etc, `${folder}/10.yaml`, `${folder}/20.yaml`])
    expect(Object.fromEntries(origins)).toMatchObject({
      windowMessages: `${etc}:2`,
      flushReadings: `${folder}/20.yaml:2`,
      flushEveryMs: 'LOT_AGENT_FLUSH_EVERY_MS',
      outboxDir: '--set outboxDir',
      credentialFile: 'LOT_AGENT_CREDENTIAL_FILE',
    })
  })

  it('are there without any file', () => {
    expect(find({}).config.windowMessages).toBe(50)
    expect(find({ [etc]: '' }).config.windowMessages).toBe(50)
  })

  it('are in the file that is named, which then has to be there', () => {
    const files = { '/x/agent.yaml': 'agent: { windowMessages: 2 }', [etc]: 'agent: { windowMessages: 1 }' }
    expect(find(files, { LOT_AGENT_CONFIG: '/x/agent.yaml' }).config.windowMessages).toBe(2)
    expect(faultsOf(files, { LOT_AGENT_CONFIG: '/y/agent.yaml' })).toEqual([
      '/y/agent.yaml: there is no such file',
    ])
  })

  it('are told all that is wrong with them at once, with file and line', () => {
    const files = {
      [etc]: 'agent:\n  windowMessages: 0\n  schedule: every minute\n  windowMesages: 1\n',
      [`${folder}/10.yaml`]: 'agent:\n  a: [\n',
      [`${folder}/20.yaml`]: 'agent:\n  sensors:\n    - { name: gate, type: gpio }\n',
    }
    expect(faultsOf(files, { LOT_AGENT_INSECURE: 'maybe' }, ['nonsense'])).toEqual([
      expect.stringMatching(/^\/etc\/lot-agent\/config\.d\/10\.yaml: .*line \d/),
      '--set nonsense: is not name=value',
      expect.stringContaining(`${etc}:4: agent.windowMesages: unknown setting`),
      expect.stringContaining('LOT_AGENT_INSECURE'),
      expect.stringContaining(`${etc}:2: agent.windowMessages`),
    ])
    const { [`${folder}/10.yaml`]: _, ...readable } = files
    const fits = { ...readable, [etc]: 'agent:\n\n  schedule: every minute\n' }
    expect(faultsOf(fits)).toEqual([
      `${etc}:3: LOT_AGENT_SCHEDULE: is not a cron expression`,
      `${folder}/20.yaml:2: sensors[0] (gate): chip is required`,
      `${folder}/20.yaml:2: sensors[0] (gate): needs entry or exit, or both; or else outer and inner`,
    ])
  })

  it('are shown with where each comes from, and without what may be secret', () => {
    const found = find(
      { [etc]: 'agent:\n  windowMessages: 2\n  tokenParameters: resource=a&password=b\n' },
      {},
      ['execCommand=/opt/count,--key,s3cret'],
    )
    const text = shownConfig(found, { version: 7, settings: { schedule: '*/5 * * * *' } }, { origin: true })
    expect(text).toMatch(/windowMessages: 2 +# \/etc\/lot-agent\/config\.yaml:2/)
    expect(text).toMatch(/schedule: "\*\/5 \* \* \* \*" +# set from afar, version 7/)
    expect(text).toMatch(/flushReadings: 64 +# default/)
    expect(text).toContain('tokenParameters: "resource=…&password=…"')
    expect(text).not.toContain('s3cret')
    expect(shownConfig(found, undefined, { origin: false })).not.toContain('#')
  })
})

describe('a list of sensors', () => {
  const rows = (yaml: string) => faultsOf({ [etc]: `agent:\n  sensors:\n${yaml}` })

  it('is taken when each has what its type needs', () => {
    const yaml = [
      '    - { name: a, type: gpio, chip: pinctrl-rp1, entry: 17, exit: 27, active: low }',
      '    - { name: b, type: gpio, chip: pinctrl-rp1, outer: 5, inner: 6 }',
      '    - { name: c, type: exec, command: [/opt/count] }',
      '    - { name: d, type: http, url: "https://camera.example/count" }',
    ].join('\n')
    expect(find({ [etc]: `agent:\n  sensors:\n${yaml}\n` }).config.sensor).toMatchObject({
      type: 'several',
      rows: [{ name: 'a' }, { name: 'b' }, { name: 'c' }, { name: 'd' }],
    })
  })

  it.each([
    ['    - { name: a, type: gpio, chip: x, entry: 1, outer: 2, inner: 3 }', 'needs entry or exit'],
    ['    - { name: a, type: gpio, chip: x, outer: 2 }', 'needs outer and inner'],
    ['    - { name: a, type: gpio, chip: x, entry: 2, exit: 2 }', 'has a line twice'],
    ['    - { name: a, type: exec }', 'command is required'],
    ['    - { name: a, type: exec, command: [x], url: "http://a" }', 'url is not for a sensor of type exec'],
    ['    - { name: a, type: http, url: "http://10.0.0.7/" }', 'neither TLS nor loopback'],
    [
      '    - { name: a, type: exec, command: [x] }\n    - { name: a, type: exec, command: [x] }',
      'there twice',
    ],
  ])('is refused with the reason: %s', (yaml, fault) => {
    expect(rows(yaml)).toEqual([expect.stringContaining(fault)])
  })
})
