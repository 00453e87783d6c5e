/** The table of provisioning's routes in `docs/protocol.md`, from the description that the program serves. */
import { createServer } from '../core/runtime/http.ts'
import { createLog } from '../core/runtime/log.ts'
import { registerRoutes } from '../provisioning/routes.ts'
import { markdownTable } from './marks.ts'

interface Operation {
  readonly summary: string
  readonly security: readonly { readonly oauth2?: readonly string[] }[]
  readonly responses: Readonly<Record<string, unknown>>
}

export async function routeTable(): Promise<string> {
  const server = createServer({ log: createLog({ program: 'docs', level: 'silent' }) })
  const parts = () => {
    throw new Error('only described, never asked')
  }
  registerRoutes(server, { version: '0', parts })
  const description = (await server.inject('/openapi.json')).json() as {
    paths: Record<string, Record<string, Operation>>
  }
  await server.close()
  const rows = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [
      `\`${method.toUpperCase()} ${path}\``,
      doorOf(operation),
      Object.keys(operation.responses)
        .filter((status) => status.startsWith('2'))
        .join(', '),
      operation.summary,
    ]),
  )
  return markdownTable([['route', 'scope', 'answers', 'what'], ...rows.toSorted(byRoute)])
}

function doorOf({ security: [first] }: Operation): string {
  if (first === undefined) return 'none'
  const scopes = first.oauth2 ?? []
  return scopes.length === 0 ? 'any token' : scopes.map((scope) => `\`${scope}\``).join(' ')
}

/** By address, whatever the method. */
function byRoute([a = '']: readonly string[], [b = '']: readonly string[]): number {
  const [left, right] = [addressOf(a), addressOf(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

function addressOf(route: string): string {
  return route.replaceAll(/^`\w+ |`$/g, '')
}
