import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { below, createCommands } from '../../../cli/commands.ts'
import { root } from '../../../scripts/build.mjs'

/** Parses without a system: a verb that gets as far as its work asks for settings, and that ends it. */
async function run(...args: string[]): Promise<{ said: string; reached: boolean; exitCode: number }> {
  let said = ''
  let reached = false
  const home = () => {
    reached = true
    throw new Error('as far as its work')
  }
  const commands = createCommands({ version: '0', home, exit: () => undefined })
  for (const command of below(commands))
    command.exitOverride().configureOutput({
      writeErr: (text) => {
        said += text
      },
    })
  const exitCode = await commands.parseAsync(args, { from: 'user' }).then(
    () => 0,
    (error: { exitCode?: number }) => error.exitCode ?? 0,
  )
  return { said, reached, exitCode }
}

describe('the command line', () => {
  it.each([
    [['series', '--form', '-7d'], /did you mean --from/i],
    [['latst'], /did you mean latest/i],
    [['latest', '-o', 'yaml'], /allowed choices are table, json, ndjson, csv/i],
    [['series', '--every', '7x'], /such as 15m/],
    [['readings', '--limit', 'many'], /not a number above zero/],
    [['token', 'get'], /--audience/],
    [['up', '--demo', '--speed', '60'], /--speed needs --replay/],
    [['demo', '--shift-to-now'], /--shift-to-now needs --replay/],
    [['up', '--replay', 'file.csv', '--tz', 'Mars/X'], /--tz.*not an IANA time zone/],
    [['replay', 'file.csv', '--tz', 'Mars/X'], /--tz.*not an IANA time zone/],
    [['replay'], /missing required argument/],
    [['quarantine', 'release'], /name entries by id/],
    [['quarantine', 'release', 'some', '--all'], /name entries by id/],
  ])('refuses what it cannot mean, in words: %j', async (args, words) => {
    const { said, reached, exitCode } = await run(...args)
    expect(said).toMatch(words)
    expect(reached).toBe(false)
    expect(exitCode).not.toBe(0)
  })

  it.each([
    [['latest', '--lot', 'a', 'b', '-o', 'csv']],
    [['series', '--from', '-7d', '--agg', 'mean', 'max', '--tz', 'Europe/London']],
    [['replay', 'file.csv', '--tz', 'Europe/London', '--speed', '60']],
    [['demo', '--replay', 'file.csv', '--shift-to-now']],
    [['token', 'get', '--audience', 'ingest', '--credential', 'c.json']],
    [['quarantine', '--reason', 'reading.negative', '-o', 'csv']],
    [['quarantine', 'release', '--reason', 'ledger.full']],
  ])('goes to work on what it knows: %j', async (args) => {
    expect((await run(...args)).reached).toBe(true)
  })

  it('describes every verb and every option', () => {
    const commands = createCommands({
      version: '0',
      home: () => {
        throw new Error('help needs no settings')
      },
      exit: () => undefined,
    })
    for (const command of below(commands)) {
      expect(command.description(), command.name()).not.toBe('')
      for (const option of command.options) expect(option.description, option.flags).not.toBe('')
    }
  })

  const tree = createCommands({
    version: '0',
    home: () => {
      throw new Error('help needs no settings')
    },
    exit: () => undefined,
  })
  const leaves = [...below(tree)].filter(
    (command) => command.commands.length === 0 && command.name() !== 'complete',
  )

  it.each(leaves.map((command) => [pathOf(command), command] as const))(
    'shows two examples first, which it takes itself: %s',
    async (_, command) => {
      const help = helpOf(command)
      const examples = help
        .slice(0, help.indexOf('Usage:'))
        .split('\n')
        .filter((line) => line.startsWith('  '))
      expect(examples).toHaveLength(2)
      // These need no settings: they would print their script and make certificates.
      if (['completion', 'tls init'].includes(pathOf(command))) return
      for (const example of examples) {
        const { said, reached, exitCode } = await run(...wordsOf(example))
        expect([example, said, reached || exitCode === 0]).toEqual([example, '', true])
      }
    },
  )

  it('has every verb in its documentation', () => {
    const page = readFileSync(join(root, 'docs/lotctl.md'), 'utf8')
    const rows = new Map(
      page.split('\n').flatMap((line) => {
        const cells = line.split('|').map((cell) => cell.trim())
        return cells.length === 4 ? [[cells[1]?.replaceAll('`', '') ?? '', cells[2] ?? '']] : []
      }),
    )
    for (const leaf of leaves) {
      const [first = '', ...rest] = pathOf(leaf).split(' ')
      const row = rows.get(rest.length === 0 ? '(alone)' : first)
      expect(row, pathOf(leaf)).toContain(`\`${rest.length === 0 ? first : rest.join(' ')}\``)
    }
  })
})

function pathOf(command: Command): string {
  const names: string[] = []
  for (let one: Command | null = command; one?.parent; one = one.parent) names.unshift(one.name())
  return names.join(' ')
}

function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({
    writeOut: (text) => {
      help += text
    },
  })
  command.outputHelp()
  return help
}

/** The words of the last lotctl in a line, as a shell would hand them over. */
function wordsOf(line: string): string[] {
  const own =
    line
      .replace(/\$\([^)]*\)/g, 'x')
      .split('lotctl ')
      .at(-1) ?? ''
  const command = own.split(/ [|<>] /)[0] ?? ''
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '')
}
