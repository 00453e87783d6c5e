/** Every file that is written from the code, as it has to be now. `generate.ts` writes them, a test compares. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { floorPlan } from './floor-plan.ts'
import { fillMarked } from './marks.ts'
import { errorTable, quarantineTable, scopeTable } from './protocol-tables.ts'
import { schemaFiles } from './schemas.ts'
import { envExample, settingsPage } from './settings.ts'

/** Pages that are written by people, but for the parts between marks. */
const markedPages: Readonly<Record<string, Readonly<Record<string, (root: string) => string>>>> = {
  'docs/protocol.md': {
    'error-codes': errorTable,
    scopes: scopeTable,
    'quarantine-reasons': quarantineTable,
  },
  'docs/architecture.md': { files: floorPlan },
}

/** Path below `root` → text. */
export function generatedFiles(root: string): ReadonlyMap<string, string> {
  const marked = Object.entries(markedPages).map(([path, parts]): [string, string] => {
    const page = readFileSync(join(root, path), 'utf8')
    return [
      path,
      Object.entries(parts).reduce((text, [name, make]) => fillMarked(text, name, make(root)), page),
    ]
  })
  return new Map([
    ...schemaFiles(),
    ['.env.example', envExample()],
    ['docs/settings.md', settingsPage()],
    ...marked,
  ])
}
