import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createCommands } from '../../../cli/commands.ts'

function* below(command: Command): Generator<Command> {
  yield command
  for (const child of command.commands) yield* below(child)
}

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
})
