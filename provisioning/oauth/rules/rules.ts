/**
 * Rules at token time: what is in the folder is asked about every token request that the grants allow. A rule that is
 * broken denies, whether it cannot be read, throws, answers twice or takes too much: nobody gets a token past a rule that
 * somebody wanted. The thread is there when there are rules, and only then.
 */
import { randomInt } from 'node:crypto'
import type { Client } from '../../../core/contract/client.ts'
import { FleetError } from '../../../core/contract/errors.ts'
import type { RuleShown } from '../../../core/contract/rule.ts'
import type { Log } from '../../../core/runtime/log.ts'
import { boundedLines } from '../decision-log.ts'
import type { AskRules, RulesVerdict, TokenRequestFrom } from '../guards/explain.ts'
import { type FolderRule, openRuleFolder } from './folder.ts'
import type { Rule, RuleDenial, RuleRequest, RulesAnswer } from './rule.ts'
import { type Asked, type RuleThread, type RuleThreadOptions, startRuleThread } from './rule-thread.ts'

export interface Rules {
  readonly ask: AskRules
  /** Those of the folder, in their order. */
  list(): readonly (RuleShown & { readonly source: string })[]
  /**
   * What one rule alone would do, in a sandbox of its own.
   * @throws FleetError `system.busy` while too many are tried
   */
  trial(rule: Rule, request: TrialRequest): Promise<RulesAnswer>
  stop(): Promise<void>
}

export type TrialRequest = Parameters<AskRules>[0]

export interface RulesOptions {
  readonly folder: string
  readonly issuer: string
  readonly timeMs: number
  /** The bundle of `main.ts`. */
  readonly threadFile: URL
  readonly log: Log
  readonly thread?: Partial<RuleThreadOptions>
}

interface Known extends FolderRule {
  runs: number
  denials: number
  failures: number
}

const trialsMax = 2
const noRules: RulesVerdict & { allowed: true } = Object.freeze({
  allowed: true,
  scopes: [],
  claims: Object.freeze({}),
  rules: [],
})

/** @throws FleetError `config.invalid` when the folder cannot be read */
export async function openRules(options: RulesOptions): Promise<Rules> {
  const { folder: path, issuer, timeMs, threadFile: file, log } = options
  const tenant = new URL(issuer).host
  let known: readonly Known[] = []
  let broken: Known | undefined
  let thread: RuleThread | undefined
  let trials = 0
  const failedLine = boundedLines(log, 'rule.failed', () => performance.now(), 5)
  const newThread = () => startRuleThread({ file, timeMs, log, ...options.thread })

  /** All or nothing: with one that cannot be asked, nobody is. */
  function know(rules: readonly FolderRule[], faultOf: (rule: FolderRule) => string | undefined): void {
    known = rules.map((rule) => {
      const fault = rule.fault ?? faultOf(rule)
      return { ...rule, ...(fault === undefined ? {} : { fault }), runs: 0, denials: 0, failures: 0 }
    })
    broken = known.find(({ fault }) => fault !== undefined)
  }

  async function changed(rules: readonly FolderRule[]): Promise<void> {
    const readable = rules.filter(({ fault }) => fault === undefined)
    if (readable.length > 0) thread ??= newThread()
    try {
      const faults = (await thread?.load(readable)) ?? []
      know(rules, (rule) => faults[readable.indexOf(rule)])
    } catch (error) {
      // Tried again with the next look into the folder; until then nobody gets past them.
      know(rules, () => 'no sandbox can be started')
      throw error
    }
    log.info('rules.loaded', { rules: known.map(({ name }) => name) })
    for (const { name, fault } of known)
      if (fault !== undefined) log.warn('rule.broken', { rule: name, fault })
    if (known.length > 0) return
    await thread?.stop()
    thread = undefined
  }

  const folder = await openRuleFolder({
    path,
    changed,
    failed: (error) => log.warn('rules.unreadable', { error }),
  }).catch((cause: unknown) => {
    const faults = [`LOTWATCH_PROVISIONING_RULES_DIR: ${(cause as Error).message}`]
    throw new FleetError('config.invalid', 'the rules cannot be read', { cause, faults })
  })

  async function verdictOf(request: TrialRequest): Promise<RulesVerdict> {
    if (broken !== undefined) return brokenRule(broken)
    if (thread === undefined) return { ...noRules, scopes: request.scopes }
    const asked = await thread.ask(
      request.client.oauthClientId,
      JSON.stringify(requestOf(request, tenant, false)),
    )
    return typeof asked === 'string' ? unasked(asked, known) : counted(asked)
  }

  function counted({ denied, ran, scopes, claims }: RulesAnswer): RulesVerdict {
    for (const rule of known) if (ran.includes(rule.name)) rule.runs++
    if (denied === undefined) return { allowed: true, scopes, claims, rules: ran }
    const rule = known.find(({ name }) => name === denied.rule)
    if (rule !== undefined && denied.failed) rule.failures++
    else if (rule !== undefined) rule.denials++
    if (denied.failed) failedLine(() => ({ rule: denied.rule, why: denied.why }))
    return denialOf(denied)
  }

  return {
    ask: (request) =>
      known.length === 0 ? Promise.resolve({ ...noRules, scopes: request.scopes }) : verdictOf(request),
    list: () =>
      known.map(({ name, shape, source, fault, runs, denials, failures }) => ({
        name,
        shape,
        state: fault === undefined ? 'active' : 'broken',
        ...(fault === undefined ? {} : { fault }),
        bytes: Buffer.byteLength(source),
        runs,
        denials,
        failures,
        source,
      })),
    async trial(rule, request) {
      if (trials >= trialsMax) throw new FleetError('system.busy', 'other rules are being tried')
      trials++
      const own = newThread()
      try {
        const [fault] = await own.load([rule])
        if (fault !== undefined) return deniedBy(rule.name, fault, request)
        const asked = await own.ask('trial', JSON.stringify(requestOf(request, tenant, true)))
        return typeof asked === 'string' ? deniedBy(rule.name, whyNot[asked], request) : asked
      } finally {
        trials--
        await own.stop()
      }
    },
    async stop() {
      folder.stop()
      await thread?.stop()
    },
  }
}

const whyNot = {
  busy: 'it was not asked: too many requests wait for rules',
  broken: 'it ended the sandbox',
} as const

/** Shown to the client, whatever a rule broke over. */
const failedTold = 'a rule could not be asked'

function unasked(why: Exclude<Asked, RulesAnswer>, known: readonly Known[]): RulesVerdict {
  const rule = known.map(({ name }) => name).join(', ')
  const error = why === 'busy' ? 'temporarily_unavailable' : 'server_error'
  return { allowed: false, error, rule, reason: whyNot[why], told: failedTold }
}

function brokenRule({ name, fault }: Known): RulesVerdict {
  return {
    allowed: false,
    error: 'server_error',
    rule: name,
    reason: `it is broken: ${fault}`,
    told: failedTold,
  }
}

function denialOf({ rule, error, why, told, failed }: RuleDenial): RulesVerdict {
  return {
    allowed: false,
    error,
    rule,
    reason: why,
    told: failed ? failedTold : (told ?? 'denied by a rule'),
  }
}

function deniedBy(rule: string, why: string, { scopes }: TrialRequest): RulesAnswer {
  return { scopes, claims: {}, ran: [rule], denied: { rule, error: 'server_error', why, failed: true } }
}

const nobody: TokenRequestFrom = { address: '', userAgent: undefined, parameters: {} }

function requestOf(
  { client, audience, scopes, from = nobody }: TrialRequest & { client: Client },
  tenant: string,
  traced: boolean,
): RuleRequest {
  const { oauthClientId, name, metadata } = client
  return {
    client: { oauthClientId, name, metadata },
    audience,
    scopes,
    parameters: from.parameters,
    address: from.address,
    userAgent: from.userAgent ?? '',
    tenant,
    seed: randomInt(2 ** 32),
    traced,
  }
}
