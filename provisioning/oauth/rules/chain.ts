/** One token request through all rules, in their order, each with what the one before it left. */
import { contextOf, eventOf } from './arguments.ts'
import { effectOf, RuleFault, type Standing } from './effects.ts'
import type { Rule, RuleDenial, RuleRequest, RulesAnswer } from './rule.ts'
import type { Sandbox } from './sandbox.ts'

interface Said {
  readonly context?: Readonly<Record<string, unknown>>
  readonly lines?: unknown
}

/** @param rules as they were loaded: a rule's place is its index */
export function askRules(rules: readonly Rule[], request: RuleRequest, sandbox: Sandbox): RulesAnswer {
  const fromMs = performance.now()
  const ran: string[] = []
  const console: string[] = []
  const beyond: string[] = []
  let standing: Standing = { scopes: request.scopes, claims: {} }
  let before: Said['context']
  let denied: RuleDenial | undefined
  for (const [place, rule] of rules.entries()) {
    ran.push(rule.name)
    const argument = rule.shape === 'rule' ? contextOf(request, standing, before) : eventOf(request, standing)
    const goesOn = rules.slice(place + 1).some(({ shape }) => shape === 'rule')
    try {
      const said: unknown = JSON.parse(
        sandbox.run(place, JSON.stringify({ argument, seed: request.seed, goesOn })),
      )
      const { lines, context } = (said ?? {}) as Said
      if (request.traced && Array.isArray(lines)) console.push(...lines.map(String))
      const effect = effectOf(said, standing)
      if (!effect.allowed) {
        const { error, why, told } = effect
        denied = { rule: rule.name, error, why, failed: false, ...(told === undefined ? {} : { told }) }
        break
      }
      standing = { scopes: effect.scopes, claims: effect.claims }
      beyond.push(...effect.beyond)
      if (context !== undefined) before = context
    } catch (error) {
      // Whatever went wrong went wrong with this rule: the sandbox throws nothing else.
      const why = error instanceof RuleFault || error instanceof Error ? error.message : 'it failed'
      denied = { rule: rule.name, error: 'server_error', why, failed: true }
      break
    }
  }
  return {
    ...standing,
    ran,
    ...(denied === undefined ? {} : { denied }),
    ...(request.traced
      ? { trace: { console, beyond, tookUs: Math.round((performance.now() - fromMs) * 1000) } }
      : {}),
  }
}
