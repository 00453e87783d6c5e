/** What a source file imports and what it does when it is loaded, read from its text as Biome formats it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly path: string
  readonly text: string
}

export interface Import {
  /** The file, from the root of the repository, or the name of a package, or `node:…`. */
  readonly target: string
  readonly kind: 'file' | 'package' | 'node'
  /** Gone when the program runs. */
  readonly typeOnly: boolean
}

/** Every TypeScript file below the folders. */
export function readSources(root: string, folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
      .filter((path) => /\.tsx?$/.test(path))
      .sort()
      .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })),
  )
}

export function importsOf({ path, text }: SourceFile): Import[] {
  const code = withoutComments(text)
  const statements = /(?:^|\n)(?:import|export)\s+(type\s)?(?:[\w$*{}\s,]+?\sfrom\s+)?'([^']+)'/g
  const calls = /\bimport\('([^']+)'\)/g
  return [
    ...[...code.matchAll(statements)].map(([, type, name = '']) => importOf(path, name, type !== undefined)),
    ...[...code.matchAll(calls)].map(([, name = '']) => importOf(path, name, false)),
  ]
}

function importOf(path: string, name: string, typeOnly: boolean): Import {
  if (name.startsWith('.')) return { target: posix.join(posix.dirname(path), name), kind: 'file', typeOnly }
  if (name.startsWith('node:')) return { target: name, kind: 'node', typeOnly }
  const [scope = '', rest = ''] = name.split('/')
  return { target: name.startsWith('@') ? `${scope}/${rest}` : scope, kind: 'package', typeOnly }
}

/** Lines at the top level that are no declaration: they run when the file is loaded, or hold state that changes. */
export function statementsOnLoad({ text }: SourceFile): string[] {
  const declaration =
    /^(?:import|export|const|function|async function|class|abstract class|interface|type|declare|[})\]>])/
  return withoutComments(text)
    .replace(/`(?:[^`\\]|\\.)*`/gs, '``')
    .split('\n')
    .filter(
      (line) => /^\S/.test(line) && (!declaration.test(line) || /^(?:export )?const .*= await\b/.test(line)),
    )
}

export function withoutComments(text: string): string {
  return text.replace(/(^|\s)\/\*.*?\*\//gs, '$1').replace(/(^|\s)\/\/.*$/gm, '$1')
}
