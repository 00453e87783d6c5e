/** The front door of lotctl: arguments and settings in, exit code out. */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CommanderError } from 'commander'
import { loadSettingsSource } from '../core/runtime/lifecycle.ts'
import packageFile from '../package.json' with { type: 'json' }
import { createCommands } from './commands.ts'
import { readCliConfig } from './config.ts'
import { type Exit, exitOf, exits, explain } from './exit.ts'
import type { Home } from './home.ts'
import { placesOf } from './places.ts'

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(exits.ok)
})

function openHome(): Home {
  const source = loadSettingsSource(process.env)
  return {
    source,
    config: readCliConfig(source),
    places: placesOf(source),
    programsDir: dirname(fileURLToPath(import.meta.url)),
    voice: {
      answer: (text) => process.stdout.write(`${text}\n`),
      note: (text) => process.stderr.write(`${text}\n`),
    },
  }
}

async function run(): Promise<Exit> {
  let exit: Exit = exits.ok
  const commands = createCommands({
    version: packageFile.version,
    home: openHome,
    exit: (code) => {
      exit = code
    },
  })
  try {
    await commands.parseAsync()
    return exit
  } catch (error) {
    // Commander has said it already, help included.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exits.ok : exits.usage
    process.stderr.write(`${explain(error)}\n`)
    return exitOf(error)
  }
}

process.exitCode = await run()
