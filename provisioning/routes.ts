/**
 * The HTTP face of provisioning, put together: the operators' API and the feed, the authorization server, and the
 * description of both. Each resource's routes are in `routes/`; the authorization server's in `oauth/routes.ts`.
 */
import type { FastifyInstance } from 'fastify'
import { type OAuthParts, registerOAuthRoutes } from './oauth/routes.ts'
import { registerOpenApi } from './openapi.ts'
import { type ApiRouteParts, registerApiRoutes } from './routes/apis.ts'
import { type AuditRouteParts, registerAuditRoutes } from './routes/audit.ts'
import { type ClientRouteParts, registerClientRoutes } from './routes/clients.ts'
import { type DecisionRouteParts, registerDecisionRoutes } from './routes/decisions.ts'
import { createDesk } from './routes/desk.ts'
import { type DeviceRouteParts, registerDeviceRoutes } from './routes/devices.ts'
import { type DownlinkRouteParts, registerDownlinkRoutes } from './routes/downlink.ts'
import { type EnrolmentRouteParts, registerEnrolmentRoutes } from './routes/enrolment.ts'
import { type FeedRouteParts, registerFeedRoutes } from './routes/feed.ts'
import { type ImportRouteParts, registerImportRoutes } from './routes/import.ts'
import { type KeyRouteParts, registerKeyRoutes } from './routes/keys.ts'
import { type LotRouteParts, registerLotRoutes } from './routes/lots.ts'
import { type RuleRouteParts, registerRuleRoutes } from './routes/rules.ts'
import { registerStatusRoutes, type StatusRouteParts } from './routes/status.ts'

export type HttpParts = OAuthParts &
  ClientRouteParts &
  ApiRouteParts &
  AuditRouteParts &
  DecisionRouteParts &
  DeviceRouteParts &
  DownlinkRouteParts &
  EnrolmentRouteParts &
  ImportRouteParts &
  KeyRouteParts &
  LotRouteParts &
  FeedRouteParts &
  RuleRouteParts &
  StatusRouteParts

/**
 * To be called before the server listens.
 * @param parts throws `system.busy` until the program is ready
 */
export function registerRoutes(
  server: FastifyInstance,
  { version, parts }: { version: string; parts: () => HttpParts },
): void {
  // In a scope of its own, after the description has begun to listen for routes.
  server.register(async (api) => {
    await registerOpenApi(api, version)
    // Answers are what the verbs return, whole: schemas of responses describe, and are held to it by a test.
    api.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
    const desk = createDesk(() => parts().access)
    registerOAuthRoutes(api, parts)
    registerClientRoutes(api, desk, parts)
    registerApiRoutes(api, desk, parts)
    registerAuditRoutes(api, desk, parts)
    registerDecisionRoutes(api, desk, parts)
    registerKeyRoutes(api, desk, parts)
    registerLotRoutes(api, desk, parts)
    registerDeviceRoutes(api, desk, parts)
    registerImportRoutes(api, desk, parts)
    registerEnrolmentRoutes(api, desk, parts)
    registerDownlinkRoutes(api, desk, parts)
    registerFeedRoutes(api, desk, parts)
    registerRuleRoutes(api, desk, parts)
    registerStatusRoutes(api, desk, parts)
  })
}
