/** Writes the generated files; those that are right already are not touched. Removes schemas of what no longer is. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './build.mjs'
import { generatedFiles } from './generated.ts'

const files = await generatedFiles(root)
for (const [path, text] of files) {
  const target = join(root, path)
  if (textOf(target) === text) continue
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, text)
  process.stdout.write(`written: ${path}\n`)
}
for (const name of readdirSync(join(root, 'docs/schemas'))) {
  const path = `docs/schemas/${name}`
  if (files.has(path)) continue
  rmSync(join(root, path))
  process.stdout.write(`removed: ${path}\n`)
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // not there yet
  }
}
