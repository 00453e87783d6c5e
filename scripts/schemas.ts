/**
 * The JSON Schemas of `docs/schemas/`, one file per object of the contract: what is exported from `core/contract/`
 * as a TypeBox object is written, so a new one needs nothing here. Pure.
 */
import { Type } from 'typebox'
import { agentSettings } from '../agent/config.ts'
import * as client from '../core/contract/client.ts'
import * as completeness from '../core/contract/completeness.ts'
import * as connection from '../core/contract/connection.ts'
import * as credential from '../core/contract/credential.ts'
import * as decision from '../core/contract/decision.ts'
import * as downlink from '../core/contract/downlink.ts'
import * as enrolment from '../core/contract/enrolment.ts'
import { feedEvents, Revocation } from '../core/contract/feed.ts'
import * as fleet from '../core/contract/fleet.ts'
import * as handover from '../core/contract/handover.ts'
import * as live from '../core/contract/live.ts'
import * as payload from '../core/contract/payload.ts'
import * as principal from '../core/contract/principal.ts'
import * as query from '../core/contract/query.ts'
import * as reading from '../core/contract/reading.ts'
import * as registry from '../core/contract/registry.ts'
import * as sql from '../core/contract/sql.ts'
import * as status from '../core/contract/status.ts'

const modules: readonly object[] = [
  client,
  completeness,
  credential,
  decision,
  connection,
  downlink,
  enrolment,
  fleet,
  handover,
  live,
  payload,
  principal,
  query,
  reading,
  registry,
  sql,
  status,
]

/** For editors: `# yaml-language-server: $schema=…` in a settings file of the agent. */
const AgentSettingsFile = Type.Object({
  agent: Type.Object(Type.Partial(agentSettings).properties, { additionalProperties: false }),
})

/** Path below the project's folder → text. */
export function schemaFiles(): ReadonlyMap<string, string> {
  const named = [
    ...modules.flatMap((module) => Object.entries(module)),
    ...Object.entries({ FeedSnapshot: feedEvents.snapshot, Revocation, AgentSettingsFile }),
  ]
  const files = new Map<string, string>()
  for (const [name, schema] of named) {
    if (!Type.IsObject(schema) && schema !== Revocation) continue
    const file = kebab(name)
    const head = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: `urn:lotwatch:schema:${file}`,
      title: name,
    }
    files.set(`docs/schemas/${file}.json`, `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`)
  }
  return files
}

function kebab(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase()
}
