/** Every file that is written from the code, as it has to be now. `generate.ts` writes them, a test compares. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { floorPlan } from './floor-plan.ts'
import { fillMarked } from './marks.ts'
import { errorTable, quarantineTable, scopeTable, sqlViewTable } from './protocol-tables.ts'
import { routeTable } from './route-table.ts'
import { schemaFiles } from './schemas.ts'
import { envExample, settingsPage } from './settings.ts'

/** Pages that are written by people, but for the parts between marks. */
const markedPages: Readonly<
  Record<string, Readonly<Record<string, (root: string) => string | Promise<string>>>>
> = {
  'docs/protocol.md': {
    'error-codes': errorTable,
    scopes: scopeTable,
    routes: routeTable,
    'quarantine-reasons': quarantineTable,
    'sql-views': sqlViewTable,
  },
  'docs/architecture.md': { files: floorPlan },
}

/** Path below `root` → text. */
export async function generatedFiles(root: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map([
    ...schemaFiles(),
    ['.env.example', envExample()],
    ['docs/settings.md', settingsPage()],
  ])
  for (const [path, parts] of Object.entries(markedPages)) {
    let text = readFileSync(join(root, path), 'utf8')
    for (const [name, make] of Object.entries(parts)) text = fillMarked(text, name, await make(root))
    files.set(path, text)
  }
  return files
}
