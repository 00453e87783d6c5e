/** The list of files in `docs/architecture.md`: each with the first sentence of the paragraph at its top. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { markdownTable } from './marks.ts'

const folders = [
  'core/contract',
  'core/auth',
  'core/runtime',
  'agent',
  'broker',
  'ingest',
  'provisioning',
  'console',
  'cli',
] as const

/** @throws when a file does not begin with a paragraph on what it is for */
export function floorPlan(root: string): string {
  return folders.map((folder) => `#### ${folder}/\n\n${tableOf(folder, root)}`).join('\n\n')
}

function tableOf(folder: string, root: string): string {
  const files = sourcesBelow(join(root, folder))
  const rows = files.map((name) => {
    const path = `${folder}/${name}`
    return [`[\`${name}\`](../${path})`, firstSentence(readFileSync(join(root, path), 'utf8'), path)]
  })
  return markdownTable([['file', 'what it is for'], ...rows])
}

function sourcesBelow(folder: string, prefix = ''): string[] {
  return readdirSync(join(folder, prefix), { withFileTypes: true })
    .toSorted((a, b) => Number(a.isDirectory()) - Number(b.isDirectory()) || (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = join(prefix, entry.name)
      if (entry.isDirectory()) return sourcesBelow(folder, name)
      return /\.tsx?$/.test(name) && !name.endsWith('.d.ts') ? [name] : []
    })
}

function firstSentence(text: string, path: string): string {
  const paragraph = /^\/\*\*(.*?)\*\//s.exec(text)?.[1]
  if (paragraph === undefined) throw new Error(`${path} does not begin with what it is for`)
  const words = paragraph
    .replace(/^\s*\* ?/gm, '')
    .trim()
    .replace(/\s+/g, ' ')
  return (/^.*?\.(?=\s|$)/.exec(words)?.[0] ?? words).replaceAll('|', '\\|')
}
