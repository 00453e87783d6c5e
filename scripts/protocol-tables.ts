/** The tables of `docs/protocol.md` that repeat what the contract says in code. Pure. */
import { errorCodes } from '../core/contract/errors.ts'
import { scopesOf } from '../core/contract/principal.ts'
import { quarantineReasons } from '../core/contract/reading.ts'
import { sqlViews } from '../core/contract/sql.ts'
import { markdownTable } from './marks.ts'

export function errorTable(): string {
  const rows = Object.entries(errorCodes).map(([code, [kind, meaning]]) => [`\`${code}\``, kind, meaning])
  return markdownTable([['code', 'kind', 'meaning'], ...rows])
}

export function scopeTable(): string {
  const rows = Object.entries(scopesOf).flatMap(([audience, scopes]) =>
    Object.entries(scopes).map(([scope, meaning]) => [`\`${audience}\``, `\`${scope}\``, meaning]),
  )
  return markdownTable([['audience', 'scope', 'what it allows'], ...rows])
}

export function quarantineTable(): string {
  const rows = Object.entries(quarantineReasons).map(([reason, meaning]) => [`\`${reason}\``, meaning])
  return markdownTable([['reason', 'when'], ...rows])
}

export function sqlViewTable(): string {
  const rows = Object.entries(sqlViews).flatMap(([view, columns]) =>
    Object.entries(columns).map(([column, meaning]) => [`\`${view}\``, `\`${column}\``, meaning]),
  )
  return markdownTable([['view', 'column', 'what it is'], ...rows])
}
