/** Shell completion: the script, and its answers. Ids come from the server while the person waits, so not for long. */
import tab from '@bomb.sh/tab'
import type { Command } from 'commander'
import type { Home } from '../home.ts'

/** A shell waits so long for ids; then it gets none. */
const idsMs = 1500
const idsMax = 200

export function completionScript(lotctl: Command, shell: string): void {
  tab.setup(lotctl.name(), lotctl.name(), shell)
}

/** @param words after `lotctl`, the last one as far as it was typed */
export async function complete(lotctl: Command, home: () => Home, words: readonly string[]): Promise<void> {
  const ids = await idsFor(home, words)
  describe(lotctl, '', ids)
  tab.parse([...words])
}

type Ids = ReadonlyMap<string, readonly { readonly id: string; readonly name: string }[]>

function describe(command: Command, path: string, ids: Ids): void {
  const known = path === '' ? tab : tab.command(path, command.description())
  for (const option of command.createHelp().visibleOptions(command)) {
    const name = option.long?.slice(2)
    if (name === undefined) continue
    const takes = option.required || option.optional
    const values = option.argChoices ?? []
    const short = option.short?.slice(1)
    const handler = (offer: (value: string, description: string) => void) => {
      for (const value of values) offer(value, '')
      for (const { id, name: text } of ids.get(kindOf(name)) ?? []) offer(id, text)
    }
    if (takes) known.option(name, option.description, handler, short)
    else known.option(name, option.description, short)
  }
  for (const argument of command.registeredArguments)
    known.argument(
      argument.name(),
      (offer) => {
        for (const value of argument.argChoices ?? []) offer(value, '')
        for (const { id, name } of ids.get(kindOf(argument.name())) ?? []) offer(id, name)
      },
      argument.variadic,
    )
  for (const child of command.createHelp().visibleCommands(command))
    describe(child, path === '' ? child.name() : `${path} ${child.name()}`, ids)
}

/** `deviceIds` and `--device` are devices, and so on. */
function kindOf(name: string): string {
  return name.replace(/Ids?$/, '').replace('oauthClient', 'client').replace('lot-id', 'lot')
}

/** Without a server, a credential or the right to ask there are no ids; that is no error while one types. */
async function idsFor(home: () => Home, words: readonly string[]): Promise<Ids> {
  const found = new Map<string, { id: string; name: string }[]>()
  const [noun = ''] = words
  if (words.length < 3) return found
  const [{ Call }, { kinds }] = await Promise.all([import('../call.ts'), import('../registry/kinds.ts')])
  const typed = words.at(-1) ?? ''
  const asked = Object.entries(kinds).filter(
    ([kind]) => kind !== 'api' && (kind === asNoun(noun) || (kind === 'lot' && asNoun(noun) === 'device')),
  )
  await Promise.all(
    asked.map(async ([name, kind]) => {
      try {
        const call = new Call(home(), { timeoutMs: idsMs, input: false })
        const query = { ...('searches' in kind && typed !== '' ? { search: typed } : {}) }
        const page = await call.get<Record<string, Record<string, unknown>[]>>(kind.path, query)
        const rows = (page[kind.member] ?? []).slice(0, idsMax)
        found.set(
          name,
          rows.map((row) => ({ id: String(row[kind.id]), name: String(row.name ?? '') })),
        )
      } catch {
        // None to offer.
      }
    }),
  )
  return found
}

function asNoun(word: string): string {
  const singular = word.replace(/s$/, '')
  if (singular === 'grant') return 'client'
  return singular === 'enrol-key' ? 'enrolKey' : singular
}
